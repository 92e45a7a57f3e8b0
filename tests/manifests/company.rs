//! The examples: they load without errors and hold what their README promises.
