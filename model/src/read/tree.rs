//! YAML text to a tree in which every node knows its line.
//!
//! Bounded in every direction that a stranger's text could grow: bytes, depth, and nodes and
//! letters after aliases are spelled out, so that a few lines of aliases cannot become gigabytes.
//! What is wrong at one node (a field written twice, an infinite number) stays *in* the tree, so
//! that the walker tells it together with all other faults; what makes the rest unreadable ends
//! the tree, and is an [`Unreadable`].

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, Span};

use super::scalar::Scalar;

/// Most bytes of one document: what a Kubernetes API server accepts as one request.
pub(crate) const DOCUMENT_BYTES: usize = 3 << 20;
/// Most levels of lists and mappings inside each other.
pub(crate) const DEPTH: usize = 64;
/// Most nodes of one document, aliases spelled out.
pub(crate) const NODES: usize = 500_000;
/// Most bytes of keys and scalars of one document, aliases spelled out.
pub(crate) const TEXT_BYTES: usize = 2 * DOCUMENT_BYTES;

/// A value and the line on which it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) content: Content,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// The fields of a mapping.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Fields written again, with the line of the second time.
    pub(crate) repeated: Vec<(String, usize)>,
}

/// A field's value, and the line of its key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) value: Node,
}

impl Map {
    /// The value of the field `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&Node> {
        self.entries.get(key).map(|entry| &entry.value)
    }
}

impl Node {
    /// The fields, if this is a mapping.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The text of the field `key`, if this is a mapping and the field a text.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        match &self.as_map()?.value(key)?.content {
            Content::Scalar(scalar) => scalar.as_text(),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// What a copy of this node costs.
    fn cost(&self) -> Cost {
        match &self.content {
            Content::Scalar(scalar) => Cost { nodes: 1, bytes: scalar.text.len(), depth: 0 },
            Content::List(items) => Cost::around(items.iter().map(|item| (0, item.cost()))),
            Content::Map(map) => {
                Cost::around(map.entries.iter().map(|(key, entry)| (key.len(), entry.value.cost())))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Cost {
    /// Of a list or mapping around `inner`, each with the length of its key.
    fn around(inner: impl Iterator<Item = (usize, Cost)>) -> Cost {
        inner.fold(Cost { nodes: 1, bytes: 0, depth: 1 }, |sum, (key, one)| Cost {
            nodes: sum.nodes + one.nodes,
            bytes: sum.bytes + key + one.bytes,
            depth: sum.depth.max(one.depth + 1),
        })
    }
}

/// Why a document ends before its end, and what stood complete above that place.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) line: usize,
    pub(crate) reason: String,
    /// The fields of the outermost mapping that were complete.
    pub(crate) above: Option<Node>,
}

/// Parses one document, whose first line is line `first` of its file. `None` where it is empty.
pub(crate) fn parse(text: &str, first: usize) -> Result<Option<Node>, Unreadable> {
    parse_after(text, first, &mut 0)
}

/// The same behind documents of so many `nodes`, to which those of this one are added.
pub(crate) fn parse_after(
    text: &str,
    first: usize,
    nodes: &mut usize,
) -> Result<Option<Node>, Unreadable> {
    let mut builder = Builder { first, nodes: *nodes, ..Builder::default() };
    let read = builder.run(text);
    *nodes = builder.nodes;
    match read {
        Ok(()) => Ok(builder.root.filter(|root| !is_empty(root))),
        Err((line, reason)) => Err(Unreadable { line, reason, above: builder.above() }),
    }
}

fn is_empty(root: &Node) -> bool {
    matches!(&root.content, Content::Scalar(scalar) if scalar.is_null())
}

#[derive(Default)]
struct Builder {
    /// The line of the file on which the document's text begins.
    first: usize,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, Cost)>,
    nodes: usize,
    bytes: usize,
}

/// A list or mapping that is not closed yet.
struct Open {
    line: usize,
    anchor: usize,
    /// A field whose value has not come yet.
    key: Option<(String, usize)>,
    content: Content,
}

type Step = Result<(), (usize, String)>;

impl Builder {
    fn run(&mut self, text: &str) -> Step {
        if text.len() > DOCUMENT_BYTES {
            let reason = format!("is {} bytes long; at most {DOCUMENT_BYTES} are read", text.len());
            return Err((self.first, reason));
        }
        self.refuse_controls(text)?;
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let place = error.marker();
                let what = error.info().trim_start_matches("while ");
                (self.line(place.line()), format!("{what} (column {})", place.col() + 1))
            })?;
            self.take(event, span)?;
        }
        Ok(())
    }

    /// YAML forbids control characters; to the parser a NUL would be the end of the file, and
    /// whatever stands behind it would be dropped in silence. The one of them that JSON allows, U+007F,
    /// may stand in a quoted text, and is no harm elsewhere.
    fn refuse_controls(&self, text: &str) -> Step {
        let is_control = |byte: &u8| matches!(byte, 0..=8 | 11 | 12 | 14..=31);
        let Some(place) = text.as_bytes().iter().position(is_control) else {
            return Ok(());
        };
        let line = self.first + super::split::count_breaks(&text.as_bytes()[..place]);
        let code = text.as_bytes()[place];
        Err((line, format!("the control character U+{code:04X} may not stand in YAML")))
    }

    fn line(&self, line: usize) -> usize {
        self.first + line.saturating_sub(1)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        let line = self.line(span.start.line());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(line, Cost { nodes: 1, bytes: text.len(), depth: 0 })?;
                let scalar = Scalar::resolve(text.into_owned(), style, tag.as_deref());
                self.put(Node { line, content: Content::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, Content::Map(Map::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { line, anchor, content, .. }) => {
                    self.put(Node { line, content }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => self.copy(line, anchor),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err((line, "a second document begins without '---'".to_owned()))
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, content: Content) -> Step {
        if let Some(Open { key: None, content: Content::Map(_), .. }) = self.open.last() {
            return Err((line, "a field's name is a text, not a list or mapping".to_owned()));
        }
        if self.open.len() == DEPTH {
            return Err((line, format!("nested deeper than {DEPTH} levels")));
        }
        self.spend(line, Cost { nodes: 1, bytes: 0, depth: 0 })?;
        self.open.push(Open { line, anchor, key: None, content });
        Ok(())
    }

    /// Hands a finished node to what is open around it.
    fn put(&mut self, node: Node, anchor: usize) -> Step {
        if anchor > 0 {
            let cost = node.cost();
            self.spend(node.line, cost)?;
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map(map) => match open.key.take() {
                Some((key, line)) => map.insert(key, Entry { line, value: node }),
                None => open.key = Some(field_name(node)?),
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    fn copy(&mut self, line: usize, anchor: usize) -> Step {
        let Some((node, cost)) = self.anchors.get(&anchor) else {
            return Err((line, "an alias to a value that contains it".to_owned()));
        };
        let (node, cost) = (node.clone(), *cost);
        if self.open.len() + cost.depth > DEPTH {
            return Err((line, format!("nested deeper than {DEPTH} levels")));
        }
        self.spend(line, cost)?;
        self.put(node, 0)
    }

    fn spend(&mut self, line: usize, cost: Cost) -> Step {
        self.nodes += cost.nodes;
        self.bytes += cost.bytes;
        if self.nodes > NODES || self.bytes > TEXT_BYTES {
            let reason = format!(
                "has more than {NODES} values or {TEXT_BYTES} bytes of text, aliases spelled out"
            );
            return Err((line, reason));
        }
        Ok(())
    }

    /// What was complete in the outermost mapping when reading ended.
    fn above(self) -> Option<Node> {
        let outermost = self.open.into_iter().next()?;
        Some(Node { line: outermost.line, content: outermost.content })
    }
}

fn field_name(node: Node) -> Result<(String, usize), (usize, String)> {
    match node.content {
        Content::Scalar(scalar) if !scalar.is_null() => Ok((scalar.text, node.line)),
        Content::Scalar(_) => Err((node.line, "a field has no name".to_owned())),
        Content::List(_) | Content::Map(_) => {
            Err((node.line, "a field's name is a text, not a list or mapping".to_owned()))
        }
    }
}

impl Map {
    /// The first of several counts; each later one is a fault.
    fn insert(&mut self, key: String, entry: Entry) {
        match self.entries.entry(key) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(entry);
            }
            std::collections::btree_map::Entry::Occupied(place) => {
                self.repeated.push((place.key().clone(), entry.line));
            }
        }
    }
}
