//! Parses XML from devices into a small tree. Ignores namespaces, which devices use incorrectly, and
//! enforces limits, because a device may be hostile.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The deepest nesting of elements. Real documents have about ten levels.
const MAX_DEPTH: usize = 40;
/// The largest number of attributes of an element; further ones are ignored. Real elements have a few.
const MAX_ATTRIBUTES: usize = 32;
/// The largest number of elements. A device with 16 profiles sends about 1,500.
const MAX_NODES: usize = 20_000;

/// An element of a document.
#[derive(Debug, Default)]
pub(crate) struct XmlNode {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<XmlNode>,
}

impl XmlNode {
    /// Parses a document. Returns `None` if the text is not XML, or has too many or too deeply nested
    /// elements. The end of the text closes all open elements.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        // Tolerates mistakes that real devices make.
        config.allow_dangling_amp = true;
        config.check_end_names = false;
        let mut open: Vec<Self> = Vec::new();
        let mut count = 0;
        loop {
            let event = reader.read_event().ok()?;
            match &event {
                Event::Start(start) | Event::Empty(start) => {
                    count += 1;
                    if count > MAX_NODES || open.len() >= MAX_DEPTH {
                        return None;
                    }
                    open.push(Self::opened(start));
                }
                Event::Text(text) => add(&mut open, text.xml10_content().chars()),
                Event::CData(text) => add(&mut open, text.chars()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().ok().flatten();
                    add(&mut open, character.or_else(|| named(reference)).into_iter());
                }
                _ => {}
            }
            let is_closed = matches!(event, Event::End(_) | Event::Empty(_));
            let is_over = matches!(event, Event::Eof);
            if is_closed || is_over {
                let node = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Some(node),
                }
            }
        }
    }

    fn opened(start: &BytesStart) -> Self {
        let mut attributes = start.attributes();
        // The check for repeated names takes time that grows with the square of the number of attributes.
        attributes.with_checks(false);
        let attributes = attributes.flatten().take(MAX_ATTRIBUTES).map(|attribute| {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let name = attribute.key.local_name().as_ref().to_owned();
            (name, value.map(std::borrow::Cow::into_owned).unwrap_or_default())
        });
        Self {
            name: start.local_name().as_ref().to_owned(),
            attributes: attributes.collect(),
            ..Self::default()
        }
    }

    /// Returns the first descendant with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// Returns all children with this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the text of the first descendant with this name; `None` if there is no descendant or no text.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        Some(self.find(name)?.text()).filter(|text| !text.is_empty())
    }

    /// Returns the text of the element itself, trimmed.
    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }

    /// Returns the value of the attribute whose name without its prefix is `name`; `None` if the element has no
    /// such attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Adds `text` to the innermost open element. Text outside of all elements is dropped.
fn add(open: &mut [XmlNode], text: impl Iterator<Item = char>) {
    if let Some(node) = open.last_mut() {
        node.text.extend(text);
    }
}

/// Returns the character of one of the five named entities of XML; `None` for other names.
fn named(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// Escapes `text` for use as the content of an element.
pub(crate) fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_texts_and_attributes_are_read() {
        let text = "\n<?xml version='1.0'?>\n<!-- x -->\n<s:A xmlns:s='urn:x'><t:B tt:token='a&amp;b'>\n \
                    c &amp; d&#33; </t:B><B/><C><![CDATA[<e>]]></C></s:A>";
        let node = XmlNode::parse(text).expect("a document");
        assert_eq!(node.text_of("B"), Some("c & d!"));
        assert_eq!(node.find("B").and_then(|b| b.attribute("token")), Some("a&b"));
        assert_eq!(node.all("B").count(), 2);
        assert_eq!(node.text_of("C"), Some("<e>"));
        assert_eq!(node.text_of("D"), None);
    }

    #[test]
    fn mistakes_of_devices_are_tolerated() {
        let node = XmlNode::parse("<a><b>x&y</b><c>1</C></a>").expect("a document");
        assert!(node.text_of("b").is_some_and(|text| text.starts_with('x')));
        assert_eq!(node.text_of("c"), Some("1"));
        assert_eq!(XmlNode::parse("<a><b>1").expect("a document").text_of("b"), Some("1"));
    }

    #[test]
    fn other_text_and_oversized_documents_are_refused() {
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        let wide = format!("<a>{}</a>", "<b/>".repeat(100_000));
        for text in ["", "garbage", "HTTP/1.1 200", deep.as_str(), wide.as_str(), "</a>", "<"] {
            assert!(XmlNode::parse(text).is_none(), "{text:.20}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "(<?/?[a-z&;!\\[\\]'=\"-]{0,3}>?){0,40}|\\PC{0,60}") {
            drop(XmlNode::parse(&text));
        }
    }
}
