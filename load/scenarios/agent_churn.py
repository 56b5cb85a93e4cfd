"""Agent churn: agents go away after seconds, come back, let it ring, decline; no caller may be lost or overtaken by it (house)."""

from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread


def scenario() -> Scenario:
    """Five calls a second at 40 agents of whom a third is away at any time, 5 % of offers missed, 5 % declined."""
    return Scenario(
        name="agent_churn",
        duration_s=60.0,
        arrivals=(Poisson(rate=5.0),),
        caller=CallerProfile(patience=Spread(kind="exponential", mean_s=60.0), talk=Spread(kind="lognormal", mean_s=3.0)),
        agent=AgentProfile(
            ring=Spread(kind="exponential", mean_s=0.4),
            misses=0.05,
            declines=0.05,
            works_for=Spread(kind="exponential", mean_s=10.0),
            away_for=Spread(kind="exponential", mean_s=5.0),
        ),
        agents=40,
    )
