"""Demo: a small centre on an ordinary day, all day long, so that a board shows something moving (house)."""

from load.profiles import AgentProfile, CallerProfile, Poisson, Scenario, Spread


def scenario() -> Scenario:
    """A call every 8 s for eight agents, talks of 20 s, people who pick up after 3 s: now and then somebody waits, but never for long."""
    return Scenario(
        name="demo",
        duration_s=86_400.0,
        arrivals=(Poisson(rate=0.125),),
        caller=CallerProfile(patience=Spread(kind="exponential", mean_s=90.0), talk=Spread(kind="lognormal", mean_s=20.0)),
        agent=AgentProfile(ring=Spread(kind="uniform", mean_s=3.0)),
        agents=8,
    )
