//! The same for a page: texts in, texts out.

use serde::Deserialize;
use serde_json::{Value, from_str};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use super::Typed;

/// Routes at which a page tries requests.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Trial(super::Trial);

/// What a page is told of a request. What has two parts stands there as two texts.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Told(super::Told);

/// What a page gives.
#[derive(Deserialize)]
struct Given {
    objects: Vec<Value>,
}

#[wasm_bindgen]
impl Trial {
    /// From the JSON `{ "objects": [...] }`.
    ///
    /// # Errors
    /// What cannot be read.
    #[wasm_bindgen(constructor)]
    pub fn new(given: &str) -> Result<Trial, JsError> {
        let given: Given = from_str(given)?;
        super::Trial::of_json(given.objects).map(Trial).map_err(|why| JsError::new(&why))
    }

    /// Tries a request.
    pub fn tell(&self, method: &str, host: &str, port: u16, path: &str, headers: &str) -> Told {
        let owned = str::to_owned;
        let (method, host) = (owned(method), owned(host));
        let typed = Typed { method, host, port, path: owned(path), headers: owned(headers) };
        Told(self.0.tell(&typed))
    }
}

#[wasm_bindgen]
impl Told {
    /// Each field with what is wrong with it.
    pub fn slips(&self) -> Vec<String> {
        let slips = self.0.slips.iter();
        slips.flat_map(|slip| [slip.field.as_str().to_owned(), slip.why.clone()]).collect()
    }

    /// What comes of it.
    pub fn sum(&self) -> String {
        self.0.sum.clone()
    }

    /// Each title with what is told under it.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.0.lines.iter();
        lines.flat_map(|line| [line.title.to_owned(), line.text.clone()]).collect()
    }

    /// The nearest of the matches that did not win.
    pub fn others(&self) -> Vec<String> {
        self.0.others.clone()
    }

    /// How many more there are.
    pub fn more(&self) -> usize {
        self.0.more
    }

    /// What is wrong with the routes.
    pub fn faults(&self) -> Vec<String> {
        self.0.faults.clone()
    }
}
