"""Abandon storm: three times more callers than agents can take, and little patience; hang-ups cross with offers and answers (house)."""

from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread


def scenario() -> Scenario:
    """30 calls a second at 20 agents, 2 s talks, 3 s patience: most give up, many while an agent's phone rings."""
    return Scenario(
        name="abandon_storm",
        duration_s=60.0,
        arrivals=(Poisson(rate=30.0),),
        caller=CallerProfile(patience=Spread(kind="exponential", mean_s=3.0), talk=Spread(kind="exponential", mean_s=2.0)),
        agent=AgentProfile(ring=Spread(kind="exponential", mean_s=0.5)),
        agents=20,
    )
