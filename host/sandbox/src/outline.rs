//! What a component says of itself, read before anything of it is compiled: that
//! it is one, and what it imports and exports.
//!
//! Reading is a single pass that keeps nothing but names, so that it is safe to
//! do in this process whatever the bytes are; whether they are valid is for the
//! compiler to say.

use faultline_domain::plugin::Limit;
use wasmparser::{BinaryReaderError, Encoding, Instance, Parser, Payload};
use wasmtime::{Engine, Precompiled};

use crate::convert::{clip, line};
use crate::load_error::LoadError;

/// The most bytes of a component.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The most imports of a component, and the most exports. Each is an interface;
/// `faultline:plugin` has some dozens of them.
const NAMES_MAX: u32 = 512;

/// The most parts of a component, those within it included: modules, types,
/// instances, functions across the boundary. Those of large language runtimes
/// have some thousands.
const PARTS_MAX: u64 = 50_000;

/// How deep components may be nested.
const DEPTH_MAX: usize = 16;

/// The most bytes of a name that is shown.
const NAME_BYTES_SHOWN: usize = 200;

/// The imports and exports of a component, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<String>,
    exports: Vec<String>,
    /// How many modules it instantiates; at least so many that are written down.
    pub(crate) core_instances: u32,
}

impl Outline {
    /// Reads a component.
    ///
    /// # Errors
    /// If it is too large, has too many parts, or is no component.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            let message = format!(
                "the component has {} bytes; {COMPONENT_BYTES_MAX} at most",
                bytes.len()
            );
            return Err(LoadError::limit(Limit::ComponentSize, message));
        }
        if let Some(reason) = not_a_component(bytes) {
            return Err(LoadError::Malformed(reason.to_owned()));
        }
        let mut outline = Self::default();
        let (mut depth, mut parts) = (0, 0);
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(|error| malformed(&error))?;
            match &payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    few(section.count(), outline.imports.len(), "imports")?;
                    for import in section.clone() {
                        let import = import.map_err(|error| malformed(&error))?;
                        outline.imports.push(shown(import.name.name));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    few(section.count(), outline.exports.len(), "exports")?;
                    for export in section.clone() {
                        let export = export.map_err(|error| malformed(&error))?;
                        outline.exports.push(shown(export.name.name));
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section.clone() {
                        let instance = instance.map_err(|error| malformed(&error))?;
                        let is_one = matches!(instance, Instance::Instantiate { .. });
                        outline.core_instances += u32::from(is_one);
                    }
                }
                _ => {}
            }
            if depth > DEPTH_MAX {
                let message = format!("components nested more than {DEPTH_MAX} deep");
                return Err(LoadError::limit(Limit::ComponentItems, message));
            }
            parts += parts_of(&payload);
            if parts > PARTS_MAX {
                let message = format!("the component has more than {PARTS_MAX} parts");
                return Err(LoadError::limit(Limit::ComponentItems, message));
            }
        }
        Ok(outline)
    }

    /// Whether it exports this interface of `faultline:plugin`.
    pub(crate) fn has(&self, interface: &str) -> bool {
        let name = format!("faultline:plugin/{interface}@0.1.0");
        self.exports.contains(&name)
    }
}

/// What bytes are that are no component, as far as their beginning tells
/// (WebAssembly component model, "Binary").
fn not_a_component(bytes: &[u8]) -> Option<&'static str> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => None,
        Some(b"\0asm\x01\0\0\0") => {
            Some("it is a core module, which has yet to be made a component")
        }
        Some([0, b'a', b's', b'm', ..]) => Some("it is of a version that is not known"),
        Some([0x7f, b'E', b'L', b'F', ..]) => Some(match Engine::detect_precompiled(bytes) {
            Some(Precompiled::Component | Precompiled::Module) => {
                "it was compiled elsewhere; components are compiled here, and code from elsewhere \
                 is never taken"
            }
            None => "it is a program for this operating system, and no WebAssembly",
        }),
        _ => Some("it does not begin like WebAssembly"),
    }
}

/// How many parts a section has. Those of a core module are the compiler's to
/// count.
fn parts_of(payload: &Payload<'_>) -> u64 {
    let count = match payload {
        Payload::Version {
            encoding: Encoding::Module | Encoding::Component,
            ..
        } => 1,
        Payload::InstanceSection(section) => section.count(),
        Payload::CoreTypeSection(section) => section.count(),
        Payload::ComponentTypeSection(section) => section.count(),
        Payload::ComponentInstanceSection(section) => section.count(),
        Payload::ComponentAliasSection(section) => section.count(),
        Payload::ComponentCanonicalSection(section) => section.count(),
        Payload::ComponentImportSection(section) => section.count(),
        Payload::ComponentExportSection(section) => section.count(),
        _ => 0,
    };
    u64::from(count)
}

fn few(more: u32, before: usize, what: &str) -> Result<(), LoadError> {
    let count = before.saturating_add(more as usize);
    if count <= NAMES_MAX as usize {
        return Ok(());
    }
    let message = format!("the component has {count} {what}; {NAMES_MAX} at most");
    Err(LoadError::limit(Limit::ComponentItems, message))
}

/// Names are the author's, and not checked yet.
fn shown(name: &str) -> String {
    line(clip(name.to_owned(), NAME_BYTES_SHOWN))
}

fn malformed(error: &BinaryReaderError) -> LoadError {
    LoadError::Malformed(line(clip(error.to_string(), 500)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Outline, LoadError> {
        Outline::read(&wat::parse_str(text).expect("WebAssembly"))
    }

    #[test]
    fn only_its_own_imports_and_exports_count() {
        let outline = read(
            r#"(component
                (component
                    (import "inner" (func))
                    (core module (import "deep" "er" (func))))
                (import "a" (func $a))
                (export "faultline:plugin/decode@0.1.0" (func $a))
                (export "b" (func $a)))"#,
        )
        .expect("a component");
        assert_eq!(outline.imports, ["a"]);
        assert_eq!(outline.exports, ["faultline:plugin/decode@0.1.0", "b"]);
        assert!(outline.has("decode") && !outline.has("poll"));
    }

    #[test]
    fn there_is_an_end_to_everything() {
        let many = |count: usize| {
            let imports: Vec<String> = (0..count)
                .map(|number| format!("(import \"i{number}\" (func))"))
                .collect();
            read(&format!("(component {})", imports.concat()))
        };
        assert_eq!(many(512).expect("as many as it may").imports.len(), 512);
        let error = many(513).expect_err("one too many");
        assert_eq!(error.code(), "limit.component-items");

        let nested = |depth: usize| {
            read(&format!(
                "{}{}",
                "(component ".repeat(depth),
                ")".repeat(depth)
            ))
        };
        assert!(nested(DEPTH_MAX).is_ok());
        let error = nested(DEPTH_MAX + 1).expect_err("too deep");
        assert_eq!(error.code(), "limit.component-items");

        let types = "(type (list u8))".repeat(50_001);
        let error = read(&format!("(component {types})")).expect_err("too many");
        assert_eq!(error.code(), "limit.component-items");
    }

    #[test]
    fn names_cannot_draw_on_a_terminal() {
        // An import whose name the text format would not let through.
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        let name = b"a\x1b[2J\nb";
        bytes.extend([10, 4 + u8::try_from(name.len()).expect("short"), 1, 0]);
        bytes.push(u8::try_from(name.len()).expect("short"));
        bytes.extend(name);
        bytes.extend([1, 0]);
        // The section's length counts the type of the import, too.
        bytes[9] += 1;
        let outline = Outline::read(&bytes).expect("can be read");
        assert_eq!(outline.imports, ["a [2J b"]);
    }

    #[test]
    fn what_is_no_component_is_called_by_its_name() {
        for (bytes, expected) in [
            (&b""[..], "does not begin"),
            (b"(component)", "does not begin"),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\0asm\x0e\0\x01\0", "version"),
            (
                b"\x7fELF\x02\x01\x01\0",
                "program for this operating system",
            ),
        ] {
            let error = Outline::read(bytes).expect_err(expected);
            assert_eq!(error.code(), "malformed");
            assert!(error.to_string().contains(expected), "{error}");
        }
        let config = wasmtime::Config::new();
        let engine = Engine::new(&config).expect("an engine");
        let compiled = engine.precompile_component(b"\0asm\x0d\0\x01\0");
        let error = Outline::read(&compiled.expect("compiles")).expect_err("compiled");
        assert!(error.to_string().contains("compiled elsewhere"), "{error}");
    }
}
