"""How each SMS gateway is played against its simulator: one file `<code>.py` with a class `Case(Played)`.

It says which option is the secret, and what makes the simulator refuse a text, for every reason that the gateway's
recordings know. A provider without a simulator of ours (one that a library plays) overrides the methods of `Played`.
A gateway without a file fails in `test_against_simulators.py`, by name.
"""
