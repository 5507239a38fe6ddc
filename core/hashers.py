"""Password hashing at a cost that a small server can pay and an attacker cannot."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class OwaspArgon2PasswordHasher(Argon2PasswordHasher):
    """argon2id at OWASP's minimum (19 MiB, t=2, p=1). Django's default takes ten times the time and five the memory."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
