//! What replies say of themselves: reasons, flags, extensions.

use serde::{Deserialize, Serialize};

use crate::record::{Extension, Label};

/// Why a destination is unreachable: by a letter if it is a common reason, else the code.
#[derive(Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Unreachable {
    Code(u8),
    Letter(String),
}

#[derive(Deserialize, Serialize)]
pub(super) struct Extensions {
    #[serde(default)]
    version: u8,
    #[serde(default)]
    rfc4884: u8,
    #[serde(default)]
    obj: Vec<Object>,
}

#[derive(Deserialize, Serialize)]
struct Object {
    class: u8,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mpls: Vec<MplsLabel>,
}

#[derive(Deserialize, Serialize)]
struct MplsLabel {
    label: u32,
    exp: u8,
    s: u8,
    ttl: u8,
}

/// Returns the reasons that have letters, with the ICMP type and code of each.
pub(super) fn letters(v4: bool) -> &'static [(&'static str, u8, u8)] {
    if v4 {
        &[
            ("N", 3, 0),
            ("H", 3, 1),
            ("P", 3, 2),
            ("p", 3, 3),
            ("A", 3, 13),
        ]
    } else {
        &[
            ("N", 1, 0),
            ("A", 1, 1),
            ("h", 1, 2),
            ("H", 1, 3),
            ("p", 1, 4),
            ("P", 4, 1),
        ]
    }
}

/// The letters of TCP flags, from the lowest bit.
pub(super) const TCP_FLAGS: &str = "FSRPAU";

impl Extensions {
    pub(super) fn into_extensions(self) -> Vec<Extension> {
        let label = |it: &MplsLabel| Label {
            label: it.label & 0xf_ffff,
            exp: it.exp,
            bottom: it.s,
            ttl: it.ttl,
        };
        let extension = |it: Object| {
            let labels: Vec<Label> = it.mpls.iter().map(label).collect();
            Extension {
                class: it.class,
                kind: it.kind,
                data: Extension::from_labels(&labels).data,
            }
        };
        self.obj.into_iter().map(extension).collect()
    }

    pub(super) fn new(extensions: &[Extension]) -> Option<Self> {
        let label = |it: Label| MplsLabel {
            label: it.label,
            exp: it.exp,
            s: it.bottom,
            ttl: it.ttl,
        };
        let object = |it: &Extension| Object {
            class: it.class,
            kind: it.kind,
            mpls: it.labels().into_iter().map(label).collect(),
        };
        (!extensions.is_empty()).then(|| Self {
            version: 2,
            rfc4884: 1,
            obj: extensions.iter().map(object).collect(),
        })
    }
}
