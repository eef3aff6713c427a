//! `--gate` and the options of it: which answers count.

use std::path::{Path, PathBuf};

use super::{AnswerDefaults, Surroundings};
use crate::cli::ProbeArgs;
use crate::error::{Error, Result};
use crate::gate::onnxruntime::RuntimePlaces;
use crate::gate::semantic::{self, EmbeddingSource, SemanticConfig};
use crate::gate::{GateConfig, GateKind};
use crate::hub::{Contents, HubId, HubModel};

/// Validates the gate that `args` ask for; where they ask for none it is the task's, or `default`.
/// Pushes what the user should know about it.
///
/// # Errors
/// [`Error::Usage`] naming the option.
pub(super) fn gate(
    args: &ProbeArgs,
    answers: AnswerDefaults,
    default: GateKind,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Result<GateConfig> {
    let kind = match &args.gate {
        Some(name) => name.parse()?,
        None => answers.gate.unwrap_or(default),
    };
    if kind == GateKind::Label && !answers.labels {
        return Err(Error::usage("needles have no labels to choose from")
            .at("--gate")
            .got("label")
            .expected("rouge, f1, semantic, exact or none"));
    }
    let gate = GateConfig::new(kind, args.gate_threshold)?;
    if kind != GateKind::Semantic {
        let given = [
            ("--gate-model", args.gate_model.is_some()),
            ("--onnxruntime", args.onnxruntime.is_some()),
        ];
        return match given.iter().find(|g| g.1) {
            None => Ok(gate),
            Some((option, _)) => Err(Error::usage(format!("{option} is of another gate"))
                .at(option)
                .got(format!("--gate {kind}"))
                .expected("--gate semantic")),
        };
    }
    semantic::supported()?;
    if gate.threshold < semantic::WARN_BELOW {
        notes.push(format!(
            "--gate semantic > {} judges the topic, not the truth: wrong answers can have 0.5 \
             (docs/gates.md)",
            gate.threshold
        ));
    }
    let semantic = SemanticConfig {
        model: embedding_source(args, surroundings)?,
        runtime: RuntimePlaces { option: args.onnxruntime.clone(), ..surroundings.runtime.clone() },
        weights: true,
    };
    Ok(GateConfig { semantic: Some(semantic), ..gate })
}

/// What `--gate-model` names: what exists is a folder; of the rest, what looks like `ORG/NAME` or
/// `ORG/NAME@REVISION` is an id, as with `--model`.
fn embedding_source(args: &ProbeArgs, surroundings: &Surroundings) -> Result<EmbeddingSource> {
    let text = args.gate_model.as_deref().unwrap_or(semantic::DEFAULT_MODEL);
    if text.is_empty() {
        return Err(Error::usage("there is no embedding model of an empty name")
            .at("--gate-model")
            .expected("a folder, or an id of the hub (ORG/NAME)"));
    }
    let is_folder = args.gate_model.is_some() && Path::new(text).exists();
    let is_model = |id: &HubId| !is_folder && id.file().is_none();
    Ok(match HubId::parse(text).filter(is_model) {
        Some(id) => EmbeddingSource::Hub(HubModel {
            id,
            contents: Contents::Embedding,
            environment: surroundings.hub.clone(),
            offline: args.model.hub.offline,
            quiet: surroundings.quiet,
            weights: true,
        }),
        None => EmbeddingSource::Dir(PathBuf::from(text)),
    })
}
