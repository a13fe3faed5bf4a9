"""Every way in which a location fails, tried: what is wrong, who answers, where it shows, what is said.

ground   the servers that the failures are tried on
case     one failure, how it is tried, and whether it showed as it should
wire     the network, TLS, other servers, addresses
stores   keys, the bucket, rights
clouds   roles, key files, Google Cloud
table    all of them, and `docs/location-failures.md`
"""
