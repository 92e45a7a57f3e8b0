//! HiGHS behind a safe face: one linear or mixed-integer program that is kept between solves.
//!
//! The only file that names `highs_sys`. The `highs` crate consumes its model on every solve, adds columns one at a time and
//! cannot change row bounds; column generation needs all three, so the C interface is used directly.
//!
//! HiGHS 1.16.0 can accept a wrong MIP start when presolve is on and then prune the optimum (reproduced: 10 of 200 random
//! starts); presolve is therefore off in every program that is given a start, and objectives are recomputed from the values.

#![expect(unsafe_code, reason = "the C interface of HiGHS")]

use std::ffi::{CStr, c_void};

use highs_sys as ffi;

/// A column: cost, bounds and its entries `(row, value)`.
pub(super) struct LpColumn {
    pub(super) cost: f64,
    pub(super) upper: f64,
    pub(super) entries: Vec<(usize, f64)>,
}

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LpStatus {
    /// Values (and duals of a linear program) are optimal.
    Optimal,
    /// A limit was reached; values may be those of an incumbent.
    Limit,
    /// No values satisfy the rows.
    Infeasible,
    /// Anything else: numerical failure.
    Failed,
}

/// A minimisation program with columns `0 <= x <= upper` and rows `lower <= a x <= upper`.
pub(super) struct Lp {
    highs: *mut c_void,
    rows: usize,
    columns: usize,
}

// SAFETY: a HiGHS instance has no thread affinity; `Lp` owns it alone and hands out no pointer.
unsafe impl Send for Lp {}

impl Lp {
    /// A program with the rows' bounds and no columns.
    pub(super) fn new(rows: &[(f64, f64)]) -> Self {
        // SAFETY: no arguments; the instance is destroyed in `drop`.
        let highs = unsafe { ffi::Highs_create() };
        let mut lp = Self { highs, rows: rows.len(), columns: 0 };
        lp.set_bool(c"output_flag", false);
        lp.set_text(c"presolve", c"off");
        lp.set_int(c"threads", 1);
        // Most of the time on small programs, and never the better solution where a start is given.
        lp.set_bool(c"mip_heuristic_run_feasibility_jump", false);
        for &(lower, upper) in rows {
            // SAFETY: an empty row: the index and value arrays are not read.
            unsafe { ffi::Highs_addRow(lp.highs, lower, upper, 0, std::ptr::null(), std::ptr::null()) };
        }
        lp
    }

    /// Chooses the primal simplex method: after adding columns the last basis stays primal feasible.
    pub(super) fn use_primal_simplex(&mut self) {
        self.set_int(c"simplex_strategy", 4);
    }

    /// Chooses the dual simplex method: after changing row bounds the last basis stays dual feasible.
    pub(super) fn use_dual_simplex(&mut self) {
        self.set_int(c"simplex_strategy", 1);
    }

    /// Stops a mixed-integer solve at that relative gap.
    pub(super) fn set_mip_gap(&mut self, gap: f64) {
        self.set_float(c"mip_rel_gap", gap);
    }

    /// Stops a mixed-integer solve after so many branch-and-bound nodes.
    pub(super) fn set_node_limit(&mut self, nodes: i32) {
        self.set_int(c"mip_max_nodes", nodes);
    }

    /// Stops a solve after so many seconds, counted from now.
    pub(super) fn set_time_limit(&mut self, seconds: f64) {
        // SAFETY: a live instance.
        unsafe { ffi::Highs_zeroAllClocks(self.highs) };
        self.set_float(c"time_limit", seconds);
    }

    fn set_bool(&mut self, option: &CStr, value: bool) {
        // SAFETY: a live instance and a null-terminated name.
        unsafe { ffi::Highs_setBoolOptionValue(self.highs, option.as_ptr(), i32::from(value)) };
    }

    fn set_int(&mut self, option: &CStr, value: i32) {
        // SAFETY: as above.
        unsafe { ffi::Highs_setIntOptionValue(self.highs, option.as_ptr(), value) };
    }

    fn set_float(&mut self, option: &CStr, value: f64) {
        // SAFETY: as above.
        unsafe { ffi::Highs_setDoubleOptionValue(self.highs, option.as_ptr(), value) };
    }

    fn set_text(&mut self, option: &CStr, value: &CStr) {
        // SAFETY: as above, both null-terminated.
        unsafe { ffi::Highs_setStringOptionValue(self.highs, option.as_ptr(), value.as_ptr()) };
    }

    /// Appends columns; they keep their order.
    pub(super) fn add_columns(&mut self, columns: &[LpColumn]) {
        let costs: Vec<f64> = columns.iter().map(|column| column.cost).collect();
        let lower = vec![0.0; columns.len()];
        let upper: Vec<f64> = columns.iter().map(|column| column.upper).collect();
        let mut starts = Vec::with_capacity(columns.len());
        let (mut index, mut value) = (Vec::new(), Vec::new());
        for column in columns {
            starts.push(index.len() as i32);
            for &(row, amount) in &column.entries {
                debug_assert!(row < self.rows, "the caller's rows are those of `new`");
                index.push(row as i32);
                value.push(amount);
            }
        }
        // SAFETY: all arrays have the lengths that are passed; HiGHS copies them.
        unsafe {
            ffi::Highs_addCols(
                self.highs,
                columns.len() as i32,
                costs.as_ptr(),
                lower.as_ptr(),
                upper.as_ptr(),
                index.len() as i32,
                starts.as_ptr(),
                index.as_ptr(),
                value.as_ptr(),
            )
        };
        self.columns += columns.len();
    }

    /// Changes the bounds of a row.
    pub(super) fn set_row(&mut self, row: usize, lower: f64, upper: f64) {
        // SAFETY: a live instance; HiGHS checks the index.
        unsafe { ffi::Highs_changeRowBounds(self.highs, row as i32, lower, upper) };
    }

    /// Changes the bounds of a column.
    pub(super) fn set_column(&mut self, column: usize, lower: f64, upper: f64) {
        // SAFETY: a live instance; HiGHS checks the index.
        unsafe { ffi::Highs_changeColBounds(self.highs, column as i32, lower, upper) };
    }

    /// Changes the costs of all columns.
    pub(super) fn set_costs(&mut self, costs: &[f64]) {
        debug_assert_eq!(costs.len(), self.columns, "one cost per column");
        if !costs.is_empty() {
            // SAFETY: `costs` has one entry for each column of the range.
            unsafe { ffi::Highs_changeColsCostByRange(self.highs, 0, costs.len() as i32 - 1, costs.as_ptr()) };
        }
    }

    /// Turns presolve on, for programs that are solved once and without a start.
    pub(super) fn use_presolve(&mut self) {
        self.set_text(c"presolve", c"on");
    }

    /// Deletes the marked columns; the others keep their order.
    pub(super) fn delete_columns(&mut self, delete: &[bool]) {
        let mut mask: Vec<i32> = delete.iter().map(|&gone| i32::from(gone)).collect();
        // SAFETY: the mask has one entry per column; HiGHS overwrites it with the new positions.
        unsafe { ffi::Highs_deleteColsByMask(self.highs, mask.as_mut_ptr()) };
        self.columns -= delete.iter().filter(|&&gone| gone).count();
    }

    /// Makes the first `count` columns integer.
    pub(super) fn make_integer(&mut self, count: usize) {
        let kinds = vec![1; count];
        if count > 0 {
            // SAFETY: `kinds` has one entry for each column of the range.
            unsafe { ffi::Highs_changeColsIntegralityByRange(self.highs, 0, count as i32 - 1, kinds.as_ptr()) };
        }
    }

    /// Starts a mixed-integer solve from these values, one per column.
    pub(super) fn set_start(&mut self, values: &[f64]) {
        debug_assert_eq!(values.len(), self.columns, "one value per column");
        let none = std::ptr::null();
        // SAFETY: `values` has one entry per column; null pointers mean that the other parts are not given.
        unsafe { ffi::Highs_setSolution(self.highs, values.as_ptr(), none, none, none) };
    }

    /// Solves from the last basis.
    pub(super) fn solve(&mut self) -> LpStatus {
        // SAFETY: a live instance.
        let status = unsafe {
            ffi::Highs_run(self.highs);
            ffi::Highs_getModelStatus(self.highs)
        };
        match status {
            7 => LpStatus::Optimal,
            8 | 9 => LpStatus::Infeasible,
            11..=14 | 16 => LpStatus::Limit,
            _ => LpStatus::Failed,
        }
    }

    /// Values of the columns and duals of the rows after a solve.
    pub(super) fn solution(&self) -> (Vec<f64>, Vec<f64>) {
        let (mut values, mut reduced) = (vec![0.0; self.columns], vec![0.0; self.columns]);
        let (mut activity, mut duals) = (vec![0.0; self.rows], vec![0.0; self.rows]);
        // SAFETY: the arrays have the numbers of columns and rows of the instance.
        unsafe {
            ffi::Highs_getSolution(
                self.highs,
                values.as_mut_ptr(),
                reduced.as_mut_ptr(),
                activity.as_mut_ptr(),
                duals.as_mut_ptr(),
            )
        };
        (values, duals)
    }

    /// Simplex iterations of the last solve.
    pub(super) fn iterations(&self) -> u64 {
        let mut count = 0;
        // SAFETY: a live instance and a valid target.
        unsafe { ffi::Highs_getIntInfoValue(self.highs, c"simplex_iteration_count".as_ptr(), &raw mut count) };
        u64::try_from(count).unwrap_or(0)
    }
}

impl Drop for Lp {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        unsafe { ffi::Highs_destroy(self.highs) };
    }
}

/// Reads a model file by its ending and solves it: its optimum, for tests of what we write.
#[cfg(test)]
pub(super) fn optimum_of_file(path: &std::path::Path) -> Option<f64> {
    use std::ffi::CString;

    let mut lp = Lp::new(&[]);
    lp.set_float(c"mip_rel_gap", 0.0);
    let path = CString::new(path.to_str()?).ok()?;
    // SAFETY: a live instance and a null-terminated path.
    if unsafe { ffi::Highs_readModel(lp.highs, path.as_ptr()) } != 0 || lp.solve() != LpStatus::Optimal {
        return None;
    }
    // SAFETY: a live instance.
    Some(unsafe { ffi::Highs_getObjectiveValue(lp.highs) })
}
