//! What of a row does not reach its document.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::catalogue::{
    html,
    values::{self, Columns},
};

/// What of a row does not reach its document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The columns that templates name and that hold nothing.
    pub empty: Vec<String>,
    /// The elements of HTML in the columns that templates name, with their number.
    pub elements: BTreeMap<String, u32>,
}

impl LeftOut {
    pub(super) fn new(named: &BTreeSet<String>, columns: &Columns) -> Self {
        let mut left_out = Self::default();
        for name in named {
            let column = columns.get(name);
            if column.is_none_or(|column| values::is_empty(column)) {
                left_out.empty.push(name.clone());
            }
            for (element, number) in
                html::elements(&values::text(column.map(|column| &**column)).unwrap_or_default())
            {
                *left_out.elements.entry(element).or_default() += number;
            }
        }
        left_out
    }
}
