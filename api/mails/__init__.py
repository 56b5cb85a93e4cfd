"""What a tenant's administrator sees of mails: which were given up and why, and a mail to try the way; mails are `api.kit.mail`.

`service` · `schemas` · `errors` · `routes`.
"""
