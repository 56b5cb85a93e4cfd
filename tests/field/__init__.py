"""Telephony as it comes from the field: messages and stories of real phones and carriers, played against the whole service."""
