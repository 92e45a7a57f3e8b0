//! Input and output: Kubernetes types and files. Nothing above this room sees a `k8s_openapi` type.

pub mod files;
pub mod kube;
