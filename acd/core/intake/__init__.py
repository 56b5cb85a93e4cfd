"""What comes in, by who speaks: each input finds what it is about, and what does not fit is refused or dropped, in the one stated way."""
