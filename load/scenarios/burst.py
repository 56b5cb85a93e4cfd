"""Burst: a low base, then hundreds within a second; the queue must take them all, in order, and drain (house)."""

from load.profiles import AgentProfile, Burst, CallerProfile, Poisson, Scenario, Spread


def scenario() -> Scenario:
    """200 callers within one second every 30 s, on top of 2 a second."""
    return Scenario(
        name="burst",
        duration_s=60.0,
        arrivals=(Poisson(rate=2.0), Burst(calls=200, within_s=1.0, every_s=30.0)),
        caller=CallerProfile(patience=Spread(kind="exponential", mean_s=120.0), talk=Spread(kind="lognormal", mean_s=3.0)),
        agent=AgentProfile(ring=Spread(kind="uniform", mean_s=0.2)),
        agents=50,
    )
