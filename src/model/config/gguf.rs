//! [`ModelConfig`] of a GGUF file.

use super::{ModelConfig, RopeScaling};
use crate::error::{Error, Result};
use crate::gguf::{Gguf, ROPE_FACTORS};
use crate::model::shards;
use crate::model::weights_file::{Encoding, Values, WeightsFile};

impl ModelConfig {
    /// What the metadata of `gguf` say, and its factors of rotary frequencies, which are a tensor.
    ///
    /// # Errors
    /// As [`Gguf::config`], and [`Error::Model`] for factors that cannot be.
    pub(super) fn of_gguf(gguf: &Gguf) -> Result<Self> {
        let json = serde_json::to_vec(&gguf.config()?)
            .map_err(|e| Error::bug("a configuration cannot be written").got(e))?;
        let place = format!("{}, read as config.json", gguf.path().display());
        let mut config = Self::parse(&json, None, &place)?;
        let files = WeightsFile::of_gguf(gguf)?;
        config.saved = shards::widest(&files).unwrap_or(config.saved);
        let with_factors =
            files.iter().find_map(|file| Some((file, file.tensors.get(ROPE_FACTORS)?)));
        if let Some((file, stored)) = with_factors {
            let shape = [config.head_dim / 2];
            let wrong = |got: String| {
                Error::model("the factors of rotary frequencies cannot be used")
                    .at(format!("{}: {ROPE_FACTORS}", file.place))
                    .got(got)
                    .expected(format!("{} numbers above 0, in F32", config.head_dim / 2))
            };
            // Looked at before they are read: a file may claim any number of them.
            if stored.shape != shape || stored.encoding != Encoding::F32 {
                return Err(wrong(format!("{:?} in {:?}", stored.shape, stored.encoding)));
            }
            let Values::F32(factors) = file.values(ROPE_FACTORS, stored)? else {
                return Err(Error::bug("numbers of F32 are in f32"));
            };
            if let Some(bad) = factors.iter().find(|f| !(f.is_finite() && **f > 0.0)) {
                return Err(wrong(bad.to_string()));
            }
            if config.rope.scaling != RopeScaling::Default {
                return Err(wrong("factors, and another scaling".to_owned()));
            }
            config.rope.scaling = RopeScaling::Factors(factors);
        }
        Ok(config)
    }
}
