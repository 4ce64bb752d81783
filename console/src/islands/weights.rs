//! The weights of a rule: a number for each backend, which is what is sent, and a slider beside it
//! where there is a script to move it.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A backend with its weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// The id of the field.
    pub id: String,
    /// Its name.
    pub field: String,
    /// What it is the weight of.
    pub backend: String,
    /// What stands there: a number, or what somebody typed in its place.
    pub typed: String,
    /// The id of what tells that it is wrong, if it is.
    pub fault: Option<String>,
}

/// The weights of one rule. While their sum is kept, what one gains the others lose.
#[island]
pub fn Weights(weights: Vec<Weight>) -> impl IntoView {
    let drawn: Vec<_> = weights.iter().map(|one| one.typed.clone()).collect();
    let stands: Vec<_> = weights.iter().map(|one| found(&one.id)).collect();
    let now = RwSignal::new(drawn.clone());
    let total: u64 = now.with_untracked(|now| numbers(now).map(u64::from).sum());
    let (keeps, is_alive) = (RwSignal::new(true), RwSignal::new(false));
    // Effects run in the browser only.
    Effect::new(move || is_alive.set(true));
    let set = move |at: usize, typed: String| {
        now.update(|now| match typed.parse() {
            Ok(wanted) if keeps.get_untracked() && total > 0 => {
                let others: Vec<_> = numbers(now).collect();
                *now = shared(&others, at, wanted, total).iter().map(u32::to_string).collect();
            }
            _ => now[at] = typed,
        });
    };
    // What somebody typed before there was a script counts as if it had been typed now.
    for (at, typed) in stands.into_iter().enumerate() {
        if let Some(typed) = typed.filter(|typed| *typed != drawn[at]) {
            set(at, typed);
        }
    }
    let most = total.max(100).to_string();
    let rows = weights.into_iter().enumerate().map(|(at, one)| {
        let Weight { id, field, backend, typed: first, fault } = one;
        let typed = move |event| set(at, event_target_value(&event));
        let is = move || now.with(|now| now[at].clone());
        view! {
            <div class="weight">
                <label for=id.clone()>{backend.clone()}</label>
                <input
                    type="range"
                    min="0"
                    max=most.clone()
                    value=first.clone()
                    prop:value=is
                    aria-label=format!("Slider of {backend}")
                    hidden=move || !is_alive.get()
                    on:input=typed
                />
                <input
                    id=id
                    name=field
                    inputmode="numeric"
                    pattern="[0-9]*"
                    required
                    value=first
                    prop:value=is
                    aria-invalid=fault.is_some().then_some("true")
                    aria-describedby=fault
                    on:input=typed
                />
                <span class="part">{move || now.with(|now| share(&numbers(now).collect::<Vec<_>>(), at))}</span>
            </div>
        }
    });
    view! {
        <div class="weights">
            {rows.collect_view()}
            <label class="check" hidden=move || !is_alive.get()>
                <input
                    type="checkbox"
                    prop:checked=move || keeps.get()
                    on:change=move |event| keeps.set(event_target_checked(&event))
                />
                {format!("Keep the sum at {total}")}
            </label>
        </div>
    }
}

/// What stands in a field of the page as the script comes to it; none while it is being drawn.
#[cfg(feature = "hydrate")]
fn found(id: &str) -> Option<String> {
    let field = document().get_element_by_id(id)?;
    Some(wasm_bindgen::JsCast::unchecked_into::<web_sys::HtmlInputElement>(field).value())
}

#[cfg(not(feature = "hydrate"))]
fn found(_: &str) -> Option<String> {
    None
}

/// The numbers among what was typed; none where it is no number.
fn numbers(typed: &[String]) -> impl Iterator<Item = u32> {
    typed.iter().map(|one| one.parse().unwrap_or_default())
}

/// The weights once one is as wanted and the sum is what it was: what is left goes to the others, in
/// the parts that they have of it.
fn shared(now: &[u32], at: usize, wanted: u32, total: u64) -> Vec<u32> {
    let wanted = u64::from(wanted).min(total);
    let rest = total - wanted;
    let others: u64 =
        now.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, w)| u64::from(*w)).sum();
    let count = now.len().saturating_sub(1) as u64;
    let (mut given, mut before) = (0, 0);
    let part = |(i, weight): (usize, &u32)| {
        if i == at {
            return wanted as u32;
        }
        // What was given to those before is made up for here, so that the sum is exact.
        before += if others == 0 { 1 } else { u64::from(*weight) };
        let until = rest * before / if others == 0 { count.max(1) } else { others };
        let own = until - given;
        given = until;
        own as u32
    };
    now.iter().enumerate().map(part).collect()
}

/// The share of one weight in words.
fn share(now: &[u32], at: usize) -> String {
    let total: u64 = now.iter().map(|weight| u64::from(*weight)).sum();
    match total {
        0 => "none".to_owned(),
        _ => format!("{:.1} %", f64::from(now[at]) * 100.0 / total as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_gains_the_others_lose_in_their_parts() {
        for (now, at, wanted, then) in [
            (vec![90, 10], 0, 80, vec![80, 20]),
            (vec![90, 10], 1, 100, vec![0, 100]),
            (vec![90, 10], 1, 700, vec![0, 100]),
            (vec![0, 100], 1, 40, vec![60, 40]),
            (vec![50, 30, 20], 0, 0, vec![0, 60, 40]),
            (vec![0, 0, 100], 2, 99, vec![0, 1, 99]),
            (vec![100], 0, 50, vec![50]),
        ] {
            let total = now.iter().map(|one| u64::from(*one)).sum();
            assert_eq!(shared(&now, at, wanted, total), then, "{now:?} {at} {wanted}");
        }
    }

    #[test]
    fn the_sum_is_kept_for_as_long_as_there_is_somebody_to_share_with() {
        let mut now = vec![33, 33, 34];
        for (at, wanted) in [(0, 1), (1, 98), (2, 0), (0, 57), (1, 100), (2, 13)] {
            now = shared(&now, at, wanted, 100);
            assert_eq!((now.iter().sum::<u32>(), now[at]), (100, wanted), "{now:?}");
        }
        assert_eq!(share(&[1, 2], 0), "33.3 %");
        assert_eq!(share(&[0, 0], 0), "none");
    }
}
