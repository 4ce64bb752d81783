//! The start page: says whether the page is alive, and weaves a row for each click to prove it.

use leptos::prelude::*;
use leptos_meta::Title;

/// Rows of the cloth.
const ROWS: u32 = 6;
/// Warp threads across.
const COLUMNS: u32 = 18;

/// The start page.
#[component]
pub fn Page() -> impl IntoView {
    let threads = RwSignal::new(0_u32);
    // Effects run in the browser only, so this turns true exactly when hydration is through.
    let alive = RwSignal::new(false);
    Effect::new(move || alive.set(true));

    view! {
        <Title text="Start" />
        <section class="card" aria-labelledby="greeting" data-alive=move || alive.get().to_string()>
            <p class="state" role="status">
                <span class="dot" aria-hidden="true"></span>
                {move || if alive.get() { "Live in your browser" } else { "Rendered by the server" }}
            </p>
            <h1 id="greeting">"The loom is set up"</h1>
            <p class="lead">
                "This page was drawn by heddle-server and taken over by the same code in your \
                 browser. Pass the shuttle to see that it is alive."
            </p>
            <Cloth threads />
            <div class="row">
                <button type="button" on:click=move |_| threads.update(|n| *n += 1)>
                    "Pass the shuttle"
                </button>
                <p class="count">
                    "Threads woven: "
                    <output id="threads">{threads}</output>
                </p>
            </div>
        </section>
    }
}

/// The cloth woven so far: decoration, since the count beside it says the same in words.
#[component]
fn Cloth(threads: RwSignal<u32>) -> impl IntoView {
    let rows = (0..ROWS)
        .map(|row| view! { <g class:woven=move || is_woven(row, threads.get())>{pick(row)}</g> })
        .collect_view();
    // A thread lies over the edge of its column by two.
    let size = format!("0 0 {} {}", COLUMNS * 10 + 2, ROWS * 10);
    view! { <svg class="cloth" viewBox=size aria-hidden="true">{rows}</svg> }
}

/// Rows fill from the bottom; a full cloth stays full.
fn is_woven(row: u32, threads: u32) -> bool {
    threads >= ROWS - row
}

/// One weft thread, over and under the warp in turn.
fn pick(row: u32) -> impl IntoView {
    (row % 2..COLUMNS)
        .step_by(2)
        .map(|column| {
            view! { <rect x=column * 10 y=row * 10 + 2 width="12" height="6" rx="3" /> }
        })
        .collect_view()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_woven_from_the_bottom_and_stay() {
        let woven = |threads| (0..ROWS).filter(|row| is_woven(*row, threads)).collect::<Vec<_>>();
        assert!(woven(0).is_empty());
        assert_eq!(woven(2), [4, 5]);
        assert_eq!(woven(ROWS + 5).len(), ROWS as usize);
    }
}
