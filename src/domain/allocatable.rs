//! What a node of an instance type offers to pods: capacity minus what the system keeps.
