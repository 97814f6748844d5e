//! Defaults of deployments, chosen by the variant's name.

/// Variant → (flag, value).
pub struct Preset {
    pub variant: &'static str,
    /// Why, for `--help`.
    pub help: &'static str,
    pub values: &'static [(&'static str, &'static str)],
}

pub const PRESETS: &[Preset] = &[Preset {
    variant: "unikernel",
    help: "one CPU, 64 sockets and little memory, as under Unikraft",
    values: &[
        // There is one CPU, and no `/sys` to ask.
        ("workers", "1"),
        // lwIP has 64 sockets, and closes the connection that it has none left for. Two are taken: one listens, one
        // holds a connection that waits for its place. The rest is slack, or for `--metrics-listen`.
        ("max-connections", "56"),
        // Touching more memory than there is ends the guest. Of kraft's 64 MiB, 56 answers to `/api/heavy` that
        // nobody reads may take 28; 56 bodies take at most 7, and their connections' buffers as much again.
        ("max-body", "64k"),
        ("max-header", "8k"),
        // What is written there is gone with the guest.
        ("data-dir", ":memory:"),
        // Places are few, so silent clients lose theirs sooner.
        ("idle-timeout", "15s"),
        ("write-timeout", "15s"),
    ],
}];

impl Preset {
    pub fn of(variant: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.variant == variant)
    }

    pub fn value(&self, flag: &str) -> Option<&'static str> {
        self.values.iter().find(|(known, _)| *known == flag).map(|(_, value)| *value)
    }
}
