"""Steady: Poisson callers at a constant rate, agents enough; the base line every other run is compared with (house)."""

from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread


def scenario() -> Scenario:
    """Ten calls a second for a minute at 50 agents who talk 3 s: load 0.6."""
    return Scenario(
        name="steady",
        duration_s=60.0,
        arrivals=(Poisson(rate=10.0),),
        caller=CallerProfile(patience=Spread(kind="exponential", mean_s=60.0), talk=Spread(kind="lognormal", mean_s=3.0)),
        agent=AgentProfile(ring=Spread(kind="uniform", mean_s=0.2)),
        agents=50,
    )
