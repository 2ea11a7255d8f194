//! The objects of the API, rendered from the schemas of the OpenAPI document.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{head, row};

/// The schemas of the document, by name.
pub(super) struct Schemas<'a>(pub(super) &'a Value);

/// A field of an object.
struct Field<'a> {
    name: &'a str,
    schema: &'a Value,
    is_required: bool,
}

impl<'a> Schemas<'a> {
    /// Renders the objects in `used`, and the objects that these contain.
    pub(super) fn page(&self, mut used: BTreeSet<&'a str>) -> String {
        let mut open: Vec<_> = used.iter().copied().collect();
        while let Some(name) = open.pop() {
            let fields = self.fields(&self.0[name]);
            let inner = fields.iter().flat_map(|field| self.objects_in(field.schema));
            open.extend(inner.filter(|name| used.insert(name)));
        }
        let objects = used.iter().map(|name| self.object(name)).collect::<Vec<_>>();
        format!("## Objects\n\n{}", objects.join("\n"))
    }

    fn object(&self, name: &str) -> String {
        let schema = &self.0[name];
        let mut text = format!("### {name}\n\n");
        if let Some(description) = schema["description"].as_str() {
            text.extend([&one_line(description), "\n\n"]);
        }
        text += &head(["Field", "Type", "Description"]);
        for field in self.fields(schema) {
            let mut limits = limits(field.schema);
            if field.is_required && name.ends_with("Input") {
                limits.insert(0, "required".to_owned());
            }
            let mut description = description(field.schema);
            if !limits.is_empty() {
                description = format!("{description} ({})", limits.join("; "));
            }
            let name = format!("`{}`", field.name);
            text += &row([&name, &self.kind(field.schema), description.trim()]);
        }
        text
    }

    /// Returns the names of the objects that a part of the document refers to.
    pub(super) fn objects_in(&self, part: &'a Value) -> Vec<&'a str> {
        let mut names = match part {
            Value::Object(fields) => fields.values().flat_map(|it| self.objects_in(it)).collect(),
            Value::Array(values) => values.iter().flat_map(|it| self.objects_in(it)).collect(),
            _ => Vec::new(),
        };
        names.extend(referred(part).filter(|name| !self.fields(&self.0[name]).is_empty()));
        names
    }

    /// Returns the fields of an object, including the fields of the schemas that it combines.
    fn fields(&self, schema: &'a Value) -> Vec<Field<'a>> {
        let mut fields = Vec::new();
        if let Some(name) = referred(schema) {
            fields.extend(self.fields(&self.0[name]));
        }
        for part in items(&schema["allOf"]) {
            fields.extend(self.fields(part));
            // The fields of an alternative are optional in the object.
            let optional = items(&part["anyOf"]).flat_map(|it| self.fields(it));
            fields.extend(optional.map(|field| Field { is_required: false, ..field }));
        }
        let required = &schema["required"];
        let properties = schema["properties"].as_object().into_iter().flatten();
        fields.extend(properties.map(|(name, schema)| Field {
            name,
            schema,
            is_required: items(required).any(|required| required == name),
        }));
        fields
    }

    /// Renders the type of a value.
    pub(super) fn kind(&self, schema: &Value) -> String {
        if let Some(name) = referred(schema) {
            return self.kind_of(name);
        }
        let alternatives = items(&schema["oneOf"]).chain(items(&schema["anyOf"]));
        let alternatives: Vec<_> = alternatives.map(|schema| self.kind(schema)).collect();
        if !alternatives.is_empty() {
            return alternatives.join(" or ");
        }
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            types => items(types).filter_map(Value::as_str).collect(),
        };
        let types = types.into_iter().map(|name| match name {
            "array" => format!("array of {}", self.kind(&schema["items"])),
            name => name.to_owned(),
        });
        let types = types.collect::<Vec<_>>().join(" or ");
        if types.is_empty() { "any".to_owned() } else { types }
    }

    fn kind_of(&self, name: &str) -> String {
        let schema = &self.0[name];
        let variants = items(&schema["enum"])
            .chain(items(&schema["oneOf"]).flat_map(|variant| items(&variant["enum"])));
        let variants: Vec<_> = variants.filter_map(Value::as_str).collect();
        match name {
            "ErrorKind" => "[code](errors.md)".to_owned(),
            _ if !variants.is_empty() => format!("`{}`", variants.join("` \\| `")),
            _ if self.fields(schema).is_empty() => self.kind(schema),
            _ => format!("[{name}](#{})", name.to_lowercase()),
        }
    }
}

/// Returns the name of the schema that a part of the document refers to.
fn referred(part: &Value) -> Option<&str> {
    part["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn description(schema: &Value) -> String {
    let alternatives = items(&schema["oneOf"]).chain(items(&schema["anyOf"]));
    let mut texts = std::iter::once(schema).chain(alternatives);
    let text = texts.find_map(|schema| schema["description"].as_str());
    one_line(text.unwrap_or_default())
}

/// Returns descriptions of the default and the limits of a value.
fn limits(schema: &Value) -> Vec<String> {
    let mut limits = Vec::new();
    if !schema["default"].is_null() {
        limits.push(format!("default `{}`", schema["default"]));
    }
    if let (Some(min), Some(max)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        limits.push(format!("{min} to {max}"));
    }
    if let Some(count) = schema["maxItems"].as_u64() {
        limits.push(format!("at most {count}"));
    }
    limits
}

/// Returns `text` as one line that can be used in a table.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
