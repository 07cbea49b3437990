//! Answers what the standard library gives in no order or of no fixed value: the order of hash maps and sets, where
//! things lie in memory, what floating point makes of nothing.

use std::collections::{HashMap, HashSet};

use creel_guest::prelude::*;

#[creel_guest::plugin]
fn handle(event: Event) -> Result<Outcome, Failure> {
    let words = ["gold", "silver", "bronze", "iron", "tin", "lead", "zinc", "copper"];
    let lengths: HashMap<&str, usize> = words.iter().map(|word| (*word, word.len())).collect();
    let metals: HashSet<String> = words.iter().map(ToString::to_string).collect();
    let boxed = Box::new(event.id().len());
    let zero = boxed.saturating_sub(usize::MAX) as f64;
    let seen = json!({
        "map": lengths.into_iter().map(|(word, length)| json!([word, length])).collect::<Vec<_>>(),
        "set": metals.into_iter().collect::<Vec<_>>(),
        "address": format!("{:p}", &raw const *boxed),
        "nan": format!("{:x}", (zero / zero).to_bits()),
        "tenth": 0.1 + 0.2,
        "text": event.text()?,
    });
    log::info!("{} words", words.len());
    Ok(Outcome::new().reply(Reply::json(&seen)?))
}
