"""What the peers in Python share: the protocol, Kubernetes quantities, the catalog, and the bins that an instance amounts to."""
