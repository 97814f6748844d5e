//! Components in place of what Spin provides, so that any host of WASI can run the application.

use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection,
    ComponentImportSection, ComponentInstanceSection, ComponentSectionId, RawSection,
};
use wasmparser::{BinaryReaderError, Parser, Payload};

/// What Spin answers when it is asked for a variable: its value, or a case of the interface's error with a text.
pub type Variable<'a> = Result<&'a str, (u8, &'a str)>;

pub const UNDEFINED: u8 = 1;
pub const PROVIDER: u8 = 2;

/// Both stores refuse.
const STORES: [(&str, &str); 2] = [
    ("fermyon:spin/sqlite@2.0.0", include_str!("sqlite.wat")),
    ("fermyon:spin/redis@2.0.0", include_str!("redis.wat")),
];

/// `component` with these answers inside, instead of the imports.
pub fn with_variables(component: &[u8], variant: Variable<'_>, max_body: Variable<'_>) -> Vec<u8> {
    let others = Err((UNDEFINED, ""));
    let data: String =
        answers([variant, max_body, others]).iter().map(|byte| format!("\\{byte:02x}")).collect();
    let variables = include_str!("variables.wat").replace("DATA", &data);
    let texts = [[("fermyon:spin/variables@2.0.0", &*variables)].as_slice(), &STORES].concat();
    let stand_ins: Vec<_> = texts
        .into_iter()
        .map(|(interface, text)| (interface, wat::parse_str(text).expect("the stand-in is a component")))
        .collect();
    replace_imports(component, &stand_ins).expect("the component can be read")
}

/// `result<string, error>` for each variable as it lies in memory, and then the texts.
fn answers(variables: [Variable<'_>; 3]) -> Vec<u8> {
    let (mut results, mut texts) = (Vec::new(), Vec::new());
    for variable in variables {
        let (mut words, text) = match variable {
            Ok(text) => (vec![0], text),
            Err((case, text)) => (vec![1, u32::from(case)], text),
        };
        words.extend([48 + texts.len() as u32, text.len() as u32]);
        words.resize(4, 0);
        results.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        texts.extend(text.bytes());
    }
    [results, texts].concat()
}

/// All as neighbours in one component, which has the imports of `component` but those that `stand_ins` serve.
fn replace_imports(component: &[u8], stand_ins: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut whole = Component::new();
    for data in stand_ins.iter().map(|(_, data)| &data[..]).chain([component]) {
        whole.section(&RawSection { id: ComponentSectionId::Component as u8, data });
    }
    // Types, aliases and imports stand first. They are repeated outside, and so keep their numbers.
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => {}
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import?;
                    imports.push(import.name.name);
                    let served = stand_ins.iter().position(|(name, _)| *name == import.name.name);
                    if let Some(stand_in) = served {
                        let mut instances = ComponentInstanceSection::new();
                        instances.instantiate::<[_; 0], &str>(stand_in as u32, []);
                        whole.section(&instances);
                    } else {
                        let mut section = ComponentImportSection::new();
                        section.import(import.name.name, import.ty.into());
                        whole.section(&section);
                    }
                }
            }
            payload @ (Payload::ComponentTypeSection(_) | Payload::ComponentAliasSection(_)) => {
                let (id, range) = payload.as_section().expect("both are sections");
                whole.section(&RawSection { id, data: &component[range.start as usize..range.end as usize] });
            }
            _ => break,
        }
    }
    let ounce = imports.len() as u32;
    let (kind, name) = (ComponentExportKind::Instance, handler(component)?);
    let numbered: Vec<_> = imports.into_iter().zip(0..).map(|(name, index)| (name, kind, index)).collect();
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(stand_ins.len() as u32, numbered);
    whole.section(&instances);
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::InstanceExport { instance: ounce, kind, name });
    whole.section(&aliases);
    let mut exports = ComponentExportSection::new();
    exports.export(name, kind, ounce + 1, None);
    whole.section(&exports);
    Ok(whole.finish())
}

/// The name, with its version, of the interface that answers requests.
fn handler(component: &[u8]) -> Result<&str, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ComponentExportSection(section) = payload? {
            for export in section {
                let name = export?.name.name;
                if name.starts_with("wasi:http/incoming-handler@") {
                    return Ok(name);
                }
            }
        }
    }
    panic!("the component handles no requests")
}
