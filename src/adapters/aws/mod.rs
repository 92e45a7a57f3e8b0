//! AWS: the catalog of a region as it is now, from EC2 and the Price List.
//!
//! [`refresh()`] asks for several regions at once. Each region is one consistent answer or one [`FetchError`]: asking writes nothing,
//! so a call that fails costs nothing but the time. [`CatalogSource`] does that for one region again and again while a program runs. What is asked, and how answers become a
//! [`Catalog`](crate::domain::catalog::Catalog), follows the AWS provider of Karpenter v1.15.1 (filters, endpoint regions, which
//! prices count); `docs/catalog.md` says where it does not.

mod assembly;
#[cfg(feature = "controller")]
pub mod cloud;
mod error;
mod instance_types;
mod partition;
mod price_list;
mod refresh;
mod session;
mod source;
mod spot_prices;
mod substitutes;
mod zones;

pub use assembly::Fetched;
pub use error::{FetchError, Problem};
pub use refresh::{Request, Step, refresh};
pub use session::Access;
pub use source::{Attempts, CatalogSource, Failed, Origin, Periods, Refresher, Settings, Snapshot, Status, age, minute};
