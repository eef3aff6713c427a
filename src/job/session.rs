//! [`Session`]: how every command opens what it works with. What the user should know about device,
//! texts, model or weights is told here, so that no command can forget it.

use std::cell::OnceCell;

use super::inputs::{Inputs, ModelFiles, ModelShape};
use super::lengths::check_lengths;
use super::{Job, NeedleSpans, ProbeSource};
use crate::config::{ComputeConfig, ModelChoice, ProbeConfig};
use crate::error::Result;
use crate::gguf::Place;
use crate::haystack::Haystack;
use crate::model::{Compute, Llama};
use crate::system::Reporter;

/// An open device, and whom to tell.
pub struct Session<'a> {
    /// What is computed on.
    pub compute: Compute,
    /// Whom to tell.
    pub reporter: &'a Reporter,
    /// What was found for the model chosen, which may be on the hub.
    shape: OnceCell<(ModelChoice, ModelShape)>,
}

/// Opens the device of `config`, after the `notes` on the command's own options.
///
/// # Errors
/// As [`ComputeConfig::open`] and [`ComputeConfig::checked`].
pub fn open<'a>(
    config: &ComputeConfig,
    notes: &[String],
    reporter: &'a Reporter,
) -> Result<Session<'a>> {
    notes.iter().for_each(|text| reporter.note(text));
    let compute = config.open()?;
    // Before what it may be about: that kernels are compiled now.
    compute.note.iter().for_each(|text| reporter.note(text));
    let on_host = compute.on_host;
    let compute = config.checked(compute)?;
    if compute.on_host != on_host {
        compute.note.iter().for_each(|text| reporter.note(text));
    }
    Ok(Session::new(compute, reporter))
}

impl<'a> Session<'a> {
    /// On a device that is open.
    pub fn new(compute: Compute, reporter: &'a Reporter) -> Self {
        Self { compute, reporter, shape: OnceCell::new() }
    }

    /// What the model's configuration says; looked up once.
    ///
    /// # Errors
    /// As [`ModelShape::open`].
    pub fn shape(&self, choice: &ModelChoice) -> Result<ModelShape> {
        match self.shape.get() {
            Some((found, shape)) if found == choice => Ok(shape.clone()),
            _ => {
                let shape = ModelShape::open(choice)?;
                self.shape.get_or_init(|| (choice.clone(), shape.clone()));
                Ok(shape)
            }
        }
    }

    /// The model without its weights.
    ///
    /// # Errors
    /// As [`ModelFiles::open`].
    pub fn model(&self, choice: &ModelChoice) -> Result<ModelFiles> {
        let files = self.shape(choice)?.files()?;
        self.tell_model(&files);
        Ok(files)
    }

    /// The same for prompts that are made to the lengths of `config`.
    ///
    /// # Errors
    /// As [`ModelFiles::open`]; [`crate::Error::Usage`] for a length asked for that the model is
    /// not made for.
    pub fn model_for_lengths(&self, config: &ProbeConfig) -> Result<ModelFiles> {
        check_lengths(config, &self.shape(&config.model)?, 1)?;
        self.model(&config.model)
    }

    /// The haystack that `config` names.
    ///
    /// # Errors
    /// As [`ProbeConfig::haystack`].
    pub fn haystack(&self, config: &ProbeConfig) -> Result<Haystack> {
        let haystack = config.haystack()?;
        self.tell_haystack(&haystack);
        Ok(haystack)
    }

    /// Texts, gate and model of the probes that `source` is of.
    ///
    /// # Errors
    /// As [`Inputs::load`].
    pub fn inputs(&self, config: &ProbeConfig, source: &dyn ProbeSource) -> Result<Inputs> {
        let inputs = Inputs::load(config, source, || self.shape(&config.model))?;
        self.notes(&inputs.probes.notes);
        self.tell_haystack(&inputs.haystack);
        self.tell_model(&inputs.model);
        Ok(inputs)
    }

    /// The plan of the probes and all that their prompts are made of.
    ///
    /// # Errors
    /// As [`Job::new`].
    pub fn job(&self, config: &ProbeConfig, inputs: &Inputs, spans: NeedleSpans) -> Result<Job> {
        let job = Job::new(config, inputs, spans)?;
        self.notes(&job.notes);
        Ok(job)
    }

    /// The weights.
    ///
    /// # Errors
    /// As [`ModelFiles::load`].
    pub fn load(&self, files: &ModelFiles) -> Result<Llama> {
        let model = files.load(&self.compute)?;
        self.tell_weights(&model);
        Ok(model)
    }

    /// The weights of the checkpoint at `place`, where no tokenizer is needed.
    ///
    /// # Errors
    /// As [`Llama::at`].
    pub fn load_place(&self, place: &Place) -> Result<Llama> {
        let model = Llama::at(place, &self.compute)?;
        self.tell_weights(&model);
        Ok(model)
    }

    /// Tells `notes`.
    pub fn notes(&self, notes: &[String]) {
        notes.iter().for_each(|text| self.reporter.note(text));
    }

    /// Tells what sliding windows do to prompts of up to `tokens` tokens.
    pub fn tell_window(&self, files: &ModelFiles, tokens: usize) {
        files.config.window_note(tokens).iter().for_each(|text| self.reporter.note(text));
    }

    fn tell_haystack(&self, haystack: &Haystack) {
        for file in haystack.skipped() {
            self.reporter.warning(&format!("{} is left out: {}", file.name, file.reason));
        }
    }

    fn tell_weights(&self, model: &Llama) {
        model.warnings().iter().for_each(|text| self.reporter.warning(text));
    }

    fn tell_model(&self, files: &ModelFiles) {
        files.tokenizer_warning().iter().for_each(|text| self.reporter.warning(text));
        let (assumed, family) = (&files.config.assumed, files.config.family.name());
        if !assumed.is_empty() {
            let assumed = assumed.join(", ");
            self.reporter.note(&format!(
                "config.json does not say everything; as transformers does for {family}: {assumed}"
            ));
        }
    }
}
