"""Stand-ins for what only a cloud has, small and on 127.0.0.1: they refuse what the real ones refuse.

    accounts     users, roles that trust some of them, and sessions that end
    signatures   AWS signature version 4: checking a caller's, making our own
    sts          AssumeRole: signature, trust, External ID, length of the session
    gate         in front of the S3 server: only sessions of a role come through, until they end
    metadata     a node's own identity (IMDSv2)
    google       tokens for signed assertions, and a gate in front of the Cloud Storage emulator
    web          the HTTP server under all of them
    stack        their files, programs and addresses in a sandbox

`python -m sandbox.clouds CONFIG` runs them in one process; `sandbox up --clouds` starts it.
"""
