//! What HTML reports are made of: a page that needs nothing but itself, tables, line charts, and the drawing of a plan's nodes.
//!
//! A page is one file: no network, no fonts, styles and the few lines of script inline. It follows the reader's choice of light or dark, fits a
//! phone and a sheet of paper, and says in words what its drawings show. The same content gives the same bytes.

pub mod chart;
pub mod packing;
pub mod page;
pub mod table;
