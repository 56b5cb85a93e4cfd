"""What the tenant's administrator and the platform's operator see of jobs, and do about those that are dead; jobs are `api.kit.jobs`.

`service` · `schemas` · `errors` · `routes`.
"""
