//! Input and output: AWS, Kubernetes types and files. Nothing above this room sees a type of an SDK or of `k8s_openapi`.

#[cfg(feature = "aws")]
pub mod aws;
pub mod files;
pub mod kube;
