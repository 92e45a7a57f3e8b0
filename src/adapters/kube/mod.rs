//! Kubernetes types and their conversion into the domain.
