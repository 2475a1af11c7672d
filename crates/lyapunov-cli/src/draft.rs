//! The configuration in the making: defaults, then a file, then flags, each key remembering who wrote it last.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use clap::ValueEnum;
use lyapunov::{Quantity, Schedule, Target};
use miette::NamedSource;
use toml_edit::{Array, Document, DocumentMut, Item, TableLike, TomlError, Value};

use crate::{
    config::{
        Config, ControlRule, DEFAULTS, DataName, LossName, ModelName, OptimizerName, ProductName, ScheduleName,
        StartName, WeightsName, name_of,
    },
    error::{Error, Misconfiguration, Result},
    experiment,
    shorthand::Shorthand,
    summary::Subject,
};

/// A file that keys of configurations are read from.
pub struct Source {
    file: NamedSource<String>,
}

impl Source {
    /// A file by its name and text.
    pub fn new(file: NamedSource<String>) -> Self {
        Self { file }
    }

    fn place(&self, bytes: Option<Range<usize>>) -> Place {
        Place { file: self.file.clone(), bytes }
    }

    /// A fault at these bytes of the file.
    pub fn fault(&self, bytes: Option<Range<usize>>, message: String, help: Option<String>) -> Error {
        self.place(bytes).fault(message, help)
    }

    /// That the file is not what it should be.
    pub fn unreadable(&self, path: &Path, fault: &TomlError) -> Error {
        let message = format!("{} is not a TOML file: {}", path.display(), fault.message().replace('\n', ", "));
        self.fault(fault.span(), message, None)
    }

    /// Where the key of this name stands in `table`.
    pub fn key(table: &dyn TableLike, name: &str) -> Option<Range<usize>> {
        key_bytes(table, name)
    }
}

/// A configuration that is still being written. Unknown keys are refused as they come, values in [`Draft::finish`].
#[derive(Clone)]
pub struct Draft {
    document: DocumentMut,
    origins: BTreeMap<String, Origin>,
}

/// Who wrote the value of a key, where it is not the default.
#[derive(Clone)]
enum Origin {
    /// A file, at these bytes.
    File(Place),
    /// A flag, as it was typed.
    Flag(String),
}

#[derive(Clone)]
struct Place {
    file: NamedSource<String>,
    bytes: Option<Range<usize>>,
}

/// A checked configuration, with the memory of who wrote what.
#[derive(Clone)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    draft: Draft,
}

impl Default for Draft {
    fn default() -> Self {
        let document = DEFAULTS.parse().expect("default.toml is a TOML file");
        Self { document, origins: BTreeMap::new() }
    }
}

impl Draft {
    /// Takes over the keys of a file.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let text = fs::read_to_string(path).map_err(|cause| Error::io("read", path, cause))?;
        let source = Source::new(NamedSource::new(path.display().to_string(), text.clone()).with_language("toml"));
        let document = Document::parse(text).map_err(|fault| source.unreadable(path, &fault))?;
        self.take(document.as_table(), &[], &source)
    }

    /// Takes over the sections in one table of a file, but those to `skip`.
    pub fn take(&mut self, table: &dyn TableLike, skip: &[&str], source: &Source) -> Result<()> {
        let sections = table.iter().filter(|(section, _)| !skip.contains(section));
        sections.into_iter().try_for_each(|(section, item)| self.read_section(table, section, item, source))
    }

    /// Refuses a key that there is not; it stands at these bytes of the file.
    pub fn check_key(&self, key: &str, bytes: Option<Range<usize>>, source: &Source) -> Result<()> {
        if self.knows(key) { Ok(()) } else { Err(source.fault(bytes, self.unknown(key), Some(self.hint(key)))) }
    }

    /// Takes over the value of one key, written in a file.
    pub fn take_value(&mut self, key: &str, value: &Value, source: &Source) -> Result<()> {
        self.check_key(key, value.span(), source)?;
        self.put(key, value.clone(), Origin::File(source.place(value.span())));
        Ok(())
    }

    fn read_section(&mut self, file: &dyn TableLike, section: &str, item: &Item, source: &Source) -> Result<()> {
        let known = self.document.contains_table(section);
        let Some(table) = item.as_table_like().filter(|_| known) else {
            let message =
                if item.is_table_like() { format!("unknown section `[{section}]`") } else { self.unknown(section) };
            let hint = match section {
                "sweep" => "that is the file of a sweep: `lyapunov sweep FILE`".to_owned(),
                _ => self.hint(section),
            };
            return Err(source.place(key_bytes(file, section)).fault(message, Some(hint)));
        };
        for (name, item) in table.iter() {
            let key = format!("{section}.{name}");
            let Some(value) = item.as_value().filter(|_| self.knows(&key)) else {
                return Err(source.place(key_bytes(table, name)).fault(self.unknown(&key), Some(self.hint(&key))));
            };
            self.put(&key, value.clone(), Origin::File(source.place(value.span())));
        }
        Ok(())
    }

    /// Takes over one `key=value` of a flag `--set`.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let flag = format!("--set {assignment}");
        let Some((key, text)) = assignment.split_once('=') else {
            let help = "write key, equals sign and value: `--set optimizer.learning_rate=0.1`";
            return Err(fault(format!("`{flag}` has no value"), Some(help.to_owned())));
        };
        let key = key.trim();
        if !self.knows(key) {
            return Err(fault(format!("`{flag}`: {}", self.unknown(key)), Some(self.hint(key))));
        }
        // A bare word is a text: quotes rarely survive a shell.
        let value = text.trim().parse().unwrap_or_else(|_| Value::from(text.trim()));
        self.put(key, value, Origin::Flag(flag));
        Ok(())
    }

    /// Gives `key` a value on behalf of another flag.
    pub fn assign(&mut self, key: &str, value: impl Into<Value>, flag: String) {
        self.put(key, value.into(), Origin::Flag(flag));
    }

    /// Whether a flag has set this key.
    pub fn is_flag(&self, key: &str) -> bool {
        matches!(self.origins.get(key), Some(Origin::Flag(_)))
    }

    /// The value of a key that is a text, as it stands.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(Value::as_str)
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) {
        self.replace(key, value);
        self.origins.insert(key.to_owned(), origin);
    }

    /// Replaces the value and leaves the comment beside it.
    fn replace(&mut self, key: &str, mut value: Value) {
        if let Some(Item::Value(old)) = self.item_mut(key) {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
    }

    /// Checks every value.
    pub fn finish(mut self) -> Result<Settings> {
        self.expand_name()?;
        self.resolve_model();
        self.resolve_rate();
        let text = self.with_control().document.to_string();
        let config: Config = toml_edit::de::from_str(&text).map_err(|refusal| {
            let key = refusal.span().and_then(|bytes| key_at(&text, bytes.start)).unwrap_or_default();
            self.blame(&key, &format!("must be {}", refusal.message()))
        })?;
        self.check_data(&config)?;
        self.check_model(&config)?;
        self.check_optimizer(&config)?;
        self.check_decay(&config)?;
        self.check_schedule(&config)?;
        self.check_control(&config)?;
        self.check_products(&config)?;
        let mut settings = Settings { config, draft: self };
        settings.resolve_path();
        Ok(settings)
    }

    /// Writes out a name that says depth and widths as well, such as `wide-resnet-28-10`.
    fn expand_name(&mut self) -> Result<()> {
        let Some(named) = self.text("model.name").and_then(Shorthand::read) else { return Ok(()) };
        for key in ["model.depth", "model.widths"] {
            if self.text(key) != Some("auto") {
                let told = "must be \"auto\" where `model.name` says it";
                return Err(self.blame(key, told));
            }
        }
        self.replace("model.name", name_of(&named.model).into());
        self.replace("model.depth", named.depth.into());
        self.replace("model.widths", named.widths.into_iter().collect::<Array>().into());
        Ok(())
    }

    /// Replaces "auto" by what it means for the model.
    fn resolve_model(&mut self) {
        let name = self.text("model.name").and_then(|name| ModelName::from_str(name, false).ok());
        let Some(model) = name else { return };
        let widths: Array = model.automatic_widths().iter().copied().collect();
        self.resolve_automatic("model.widths", Some(widths.into()));
        self.resolve_automatic("model.depth", model.automatic_depth().map(Value::from));
        self.resolve_automatic("model.shortcut", Some(name_of(&model.automatic_shortcut()).into()));
        self.resolve_automatic("model.activation", Some(name_of(&model.automatic_activation()).into()));
    }

    fn resolve_automatic(&mut self, key: &str, meaning: Option<Value>) {
        if let Some(meaning) = meaning.filter(|_| self.text(key) == Some("auto")) {
            self.replace(key, meaning);
        }
    }

    /// Refuses a value that its model would not look at.
    fn check_model(&self, config: &Config) -> Result<()> {
        self.check_widths(config)?;
        let name = config.model.name;
        let used = ModelName::value_variants().iter().map(|other| (name_of(other), other.unused_keys()));
        self.check_unused("model", &name_of(&name), &name.unused_keys(), &used.collect::<Vec<_>>())
    }

    /// Replaces `learning_rate = "auto"` by what it means for the optimizer.
    fn resolve_rate(&mut self) {
        let optimizer = self.text("optimizer.name").and_then(|name| OptimizerName::from_str(name, false).ok());
        // A name that is none is refused later, by its key.
        let rate = optimizer.unwrap_or(OptimizerName::Sgd).automatic_rate();
        self.resolve_automatic("optimizer.learning_rate", Some(rate.into()));
    }

    /// The same with what `"auto"` means for the rule. Without a rule the written configuration keeps its `"auto"`, so that a rule which is
    /// named later finds it.
    fn with_control(&mut self) -> Self {
        let rule = self.text("control.rule").and_then(|name| ControlRule::from_str(name, false).ok());
        let rule = rule.unwrap_or(ControlRule::None);
        let falls = self.text("schedule.name") != Some("constant");
        let cooldown = if rule == ControlRule::None || falls { 0.0 } else { 0.3 };
        let mut resolved = self.clone();
        resolved.resolve_automatic("control.sigma", Some(rule.automatic_sigma().into()));
        resolved.resolve_automatic("control.every", Some(rule.automatic_period().into()));
        resolved.resolve_automatic("schedule.cooldown", Some(cooldown.into()));
        if rule != ControlRule::None {
            *self = resolved.clone();
        }
        resolved
    }

    fn check_widths(&self, config: &Config) -> Result<()> {
        let contradictory = config.model.name == ModelName::Linear && !config.model.widths.is_empty();
        let told = "must be \"auto\" or [] where `model.name` is \"linear\"";
        if contradictory { Err(self.blame("model.widths", told)) } else { Ok(()) }
    }

    fn check_data(&self, config: &Config) -> Result<()> {
        match config.data.name {
            DataName::Synthetic if !config.data.path.is_empty() => {
                let told = "`data.path` is given, but `data.name` is \"synthetic\", which reads no files";
                let fault = self.fault_at("data.path", |_| told.into());
                let help = "set `data.name` to the set that it holds, or use `--data PATH`, which sets both";
                Err(fault(Some(help.to_owned())))
            }
            name if name != DataName::Synthetic && config.data.path.is_empty() => {
                let told = format!("`data.name` is \"{}\", but `data.path` is empty", name_of(&name));
                let fault = self.fault_at("data.name", |_| told.clone());
                Err(fault(Some(
                    "name the folder or archive of the files by `data.path`, or by `--data PATH`".to_owned(),
                )))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a value that the choice `section.name` would not look at; `choices` are all there are, with the keys that each
    /// has no use for. One that says the same as the default does no harm: a resolved configuration has them all.
    fn check_unused(
        &self,
        section: &str,
        name: &str,
        unused_keys: &[&str],
        choices: &[(String, Vec<&'static str>)],
    ) -> Result<()> {
        let defaults = Self::default();
        for unused in unused_keys {
            let key = format!("{section}.{unused}");
            if plain(self.value(&key)) != plain(defaults.value(&key)) {
                let told = format!("`{key}` is given, but \"{name}\" has none");
                let users = choices.iter().filter(|(_, others)| !others.contains(unused));
                let users: Vec<String> = users.map(|(user, _)| format!("\"{user}\"")).collect();
                let help = format!("`{section}.name` may be {}", users.join(" or "));
                return Err(self.fault_at(&key, |flag| format!("{flag}{told}"))(Some(help)));
            }
        }
        Ok(())
    }

    fn check_optimizer(&self, config: &Config) -> Result<()> {
        let name = config.optimizer.name;
        let used = OptimizerName::value_variants().iter().map(|other| (name_of(other), other.unused_keys().to_vec()));
        self.check_unused("optimizer", &name_of(&name), name.unused_keys(), &used.collect::<Vec<_>>())?;
        if !name.is_preconditioned() && config.measure.what.contains(&Quantity::PreconditionedSharpness) {
            let told = format!(
                "`measure.what` names preconditioned_sharpness, but \"{}\" has no preconditioner",
                name_of(&name)
            );
            let help = "only \"adam\", \"adamw\", \"prodigy\" and \"dog\" have one".to_owned();
            return Err(self.fault_at("measure.what", |flag| format!("{flag}{told}"))(Some(help)));
        }
        Ok(())
    }

    /// A penalty and a decay both pull the weights to zero: which of the two is meant decides what is measured.
    fn check_decay(&self, config: &Config) -> Result<()> {
        if config.loss.l2 == 0.0 || config.optimizer.weight_decay == 0.0 {
            return Ok(());
        }
        let told = "`loss.l2` and `optimizer.weight_decay` are both given: they do the same to a gradient, twice";
        let help =
            "`loss.l2` is part of the loss and of what is measured, `optimizer.weight_decay` of the step: set one to 0";
        Err(self.fault_at("loss.l2", |flag| format!("{flag}{told}"))(Some(help.to_owned())))
    }

    fn check_schedule(&self, config: &Config) -> Result<()> {
        let schedule = &config.schedule;
        // Whatever the length of the run.
        let made = Schedule::new(experiment::shape(schedule.name), 1000, schedule.warm_up, schedule.cooldown);
        match made {
            Err(lyapunov::Error::Argument { name, reason, .. }) => {
                Err(self.blame(&format!("schedule.{name}"), &reason))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a rule that has no theory for the optimizer, that is not fed, or that decays twice; and keys that nobody would look at.
    fn check_control(&self, config: &Config) -> Result<()> {
        let (rule, optimizer) = (config.control.rule, config.optimizer.name);
        let falls = config.schedule.name == ScheduleName::Cosine || config.schedule.cooldown > 0.0;
        if optimizer.decays_by_itself() && falls {
            let key = if config.schedule.cooldown > 0.0 { "schedule.cooldown" } else { "schedule.name" };
            let told = format!("`{key}` lets the learning rate fall, and \"{}\" decays by itself", name_of(&optimizer));
            let help = "two decays leave a run unfinished: leave the schedule constant, without a cooldown".to_owned();
            return Err(self.fault_at(key, |flag| format!("{flag}{told}"))(Some(help)));
        }
        if rule == ControlRule::None {
            return self.check_unused_control();
        }
        if !rule.optimizers().contains(&optimizer) {
            let names: Vec<String> = rule.optimizers().iter().map(|name| format!("\"{}\"", name_of(name))).collect();
            let told = format!(
                "`control.rule` is \"{}\", which has no theory for \"{}\"",
                name_of(&rule),
                name_of(&optimizer)
            );
            let help = format!("it works with {}", names.join(", "));
            return Err(self.fault_at("control.rule", |flag| format!("{flag}{told}"))(Some(help)));
        }
        if config.schedule.name == ScheduleName::Cosine {
            let told = "`schedule.name` is \"cosine\", but a rule of [control] already follows the curvature down: that would decay twice";
            let help = "use \"constant\" with its cooldown".to_owned();
            return Err(self.fault_at("schedule.name", |flag| format!("{flag}{told}"))(Some(help)));
        }
        if self.origins.contains_key("optimizer.learning_rate")
            && config.optimizer.learning_rate != optimizer.automatic_rate()
        {
            let told = format!("`optimizer.learning_rate` is given, but \"{}\" sets the learning rate", name_of(&rule));
            let help = "leave it out, or set `control.rule` to \"none\"".to_owned();
            return Err(self.fault_at("optimizer.learning_rate", |flag| format!("{flag}{told}"))(Some(help)));
        }
        self.check_fed(config)
    }

    /// Refuses a rule whose measurement the plan leaves out.
    fn check_fed(&self, config: &Config) -> Result<()> {
        let (rule, measure) = (config.control.rule, &config.measure);
        let Some(quantity) = rule.quantity(config.optimizer.name) else { return Ok(()) };
        let unmeasured = (measure.every == 0).then_some("measure.every");
        let unnamed = (!measure.what.is_empty() && !measure.what.contains(&quantity)).then_some("measure.what");
        let nowhere = (quantity != Quantity::BatchSharpness && measure.on.is_empty()).then_some("measure.on");
        match unmeasured.or(unnamed).or(nowhere) {
            None => Ok(()),
            Some(key) => {
                let told = format!("\"{}\" decides by {quantity}, which is not measured", name_of(&rule));
                let help = format!("`{key}` must ask for it; `measure.every = 20` follows it well");
                Err(self.fault_at(key, |flag| format!("{flag}{told}"))(Some(help)))
            }
        }
    }

    /// Refuses a strength, a period or bounds without a rule.
    fn check_unused_control(&self) -> Result<()> {
        let defaults = Self::default();
        for key in ["control.sigma", "control.every", "control.bounds"] {
            if plain(self.value(key)) != plain(defaults.value(key)) {
                let told = format!("`{key}` is given, but `control.rule` is \"none\"");
                let help = "name a rule, such as `control.rule = \"edge-step\"`".to_owned();
                return Err(self.fault_at(key, |flag| format!("{flag}{told}"))(Some(help)));
            }
        }
        Ok(())
    }

    /// The Gauss–Newton matrix needs a loss that is curved in the outputs, and the tangent of a step the whole Hessian.
    fn check_products(&self, config: &Config) -> Result<()> {
        if config.loss.name == LossName::Hinge && config.measure.product == ProductName::GaussNewton {
            let reason = "must be \"auto\", \"exact\" or \"difference\" with the hinge loss: that is piecewise linear in the outputs, \
                          and its Gauss–Newton matrix zero";
            return Err(self.blame("measure.product", reason));
        }
        let lowest = config.measure.what.contains(&Quantity::LambdaMin);
        if lowest && config.measure.product == ProductName::GaussNewton {
            let reason = "must be \"auto\", \"exact\" or \"difference\" where `measure.what` names lambda_min: the Gauss–Newton matrix \
                          has no negative eigenvalues";
            return Err(self.blame("measure.product", reason));
        }
        if config.exponents.product == ProductName::GaussNewton {
            let reason = "must be \"auto\", \"exact\" or \"difference\": the Gauss–Newton matrix is not the derivative of a step";
            return Err(self.blame("exponents.product", reason));
        }
        if config.exponents.weights == WeightsName::Frozen && config.exponents.count == 0 {
            let told = "`exponents.weights` is \"frozen\", but no exponents are asked for: nothing would move";
            let help = "set `exponents.count` to 1 or more".to_owned();
            return Err(self.fault_at("exponents.weights", |flag| format!("{flag}{told}"))(Some(help)));
        }
        Ok(())
    }

    /// The refusal of the value of `key`: "`key` must be …, not …".
    fn blame(&self, key: &str, reason: &str) -> Error {
        let value = self.value(key).map(|value| value.clone().decorated("", "").to_string()).unwrap_or_default();
        self.fault_at(key, |flag| format!("{flag}`{key}` {reason}, not {value}"))(None)
    }

    /// A fault that points at where `key` got its value; `message` is given the flag to begin with, if one did it.
    fn fault_at(&self, key: &str, message: impl Fn(&str) -> String) -> impl Fn(Option<String>) -> Error {
        let origin = self.origins.get(key).cloned();
        let message = match &origin {
            Some(Origin::Flag(flag)) => message(&format!("`{flag}`: ")),
            _ => message(""),
        };
        move |help| match &origin {
            Some(Origin::File(place)) => place.fault(message.clone(), help),
            _ => fault(message.clone(), help),
        }
    }

    fn unknown(&self, key: &str) -> String {
        if self.document.contains_table(key) {
            format!("`{key}` is a section, not a key")
        } else if self.knows(key) {
            format!("`{key}` is a key, not a section")
        } else {
            format!("unknown key `{key}`")
        }
    }

    /// What the writer of an unknown key may have meant.
    fn hint(&self, key: &str) -> String {
        if self.document.contains_table(key) {
            return format!("[{key}] has {}", self.names_in(key));
        }
        if self.knows(key) {
            return format!("write `{key} = …`");
        }
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        match self.key_named(name).or_else(|| self.nearest(key)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.document.contains_table(section) => format!("[{section}] has {}", self.names_in(section)),
            None => "`lyapunov config` prints every key there is".to_owned(),
        }
    }

    /// The section or key that a typing error may have made `name` of: a third of its letters at most.
    fn nearest(&self, name: &str) -> Option<String> {
        let sections = self.document.iter().map(|(section, _)| section.to_owned());
        let known = self.keys().into_iter().chain(sections.filter(|_| !name.contains('.')));
        let close = known.map(|known| (strsim::damerau_levenshtein(name, &known), known));
        close.filter(|(distance, known)| *distance <= known.len() / 3).min().map(|(_, known)| known)
    }

    /// Whether there is such a key.
    pub fn knows(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn keys(&self) -> Vec<String> {
        let in_section = |(section, item): (&str, &Item)| {
            let names =
                item.as_table_like().map(|table| table.iter().map(|(name, _)| format!("{section}.{name}")).collect());
            names.unwrap_or_else(Vec::new)
        };
        self.document.iter().flat_map(in_section).collect()
    }

    /// The key with this last part.
    fn key_named(&self, name: &str) -> Option<String> {
        self.keys().into_iter().find(|key| key.rsplit_once('.').is_some_and(|(_, last)| last == name))
    }

    fn names_in(&self, section: &str) -> String {
        let table = self.document.get(section).and_then(Item::as_table_like);
        let names = table.map(|table| table.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>());
        names.unwrap_or_default().join(", ")
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let (section, name) = key.split_once('.')?;
        self.document.get(section)?.as_table_like()?.get(name)?.as_value()
    }

    fn item_mut(&mut self, key: &str) -> Option<&mut Item> {
        let (section, name) = key.split_once('.')?;
        self.document.get_mut(section)?.as_table_like_mut()?.get_mut(name)
    }
}

impl Settings {
    /// The whole configuration as a commented file.
    pub fn text(&self) -> String {
        self.draft.document.to_string()
    }

    /// Whatever differs from the defaults but the folder of the runs, as `key=value`.
    pub fn differences(&self) -> Vec<String> {
        let defaults = Draft::default();
        let written =
            |draft: &Draft, key: &str| draft.value(key).map(|value| value.clone().decorated("", "").to_string());
        let keys = self.draft.keys().into_iter().filter(|key| key != "run.out");
        let changed = keys.filter(|key| written(&self.draft, key) != written(&defaults, key));
        changed.filter_map(|key| Some(format!("{key}={}", written(&self.draft, &key)?))).collect()
    }

    /// Writes the place of the images down in full, so that the configuration of a run means the same wherever it is read
    /// again, and however it was spelt. A place that is not there is left for the reader of images to refuse.
    fn resolve_path(&mut self) {
        if let Ok(path) = fs::canonicalize(&self.config.data.path) {
            self.config.data.path = path.display().to_string();
            self.draft.replace("data.path", self.config.data.path.as_str().into());
        }
    }

    /// Writes down what `"auto"` means for this network: exact products, which every network of ours offers, and the
    /// quantities that suit the optimizer.
    ///
    /// # Errors
    /// For exponents by differences of gradients on a network with kinks.
    pub fn resolve(&mut self, subject: &Subject) -> Result<()> {
        let exact = name_of(&ProductName::Exact);
        if self.config.measure.product == ProductName::Auto {
            self.config.measure.product = ProductName::Exact;
            self.draft.replace("measure.product", exact.clone().into());
        }
        if self.config.exponents.product == ProductName::Auto {
            self.config.exponents.product = ProductName::Exact;
            self.draft.replace("exponents.product", exact.into());
        }
        if self.config.measure.what.is_empty() {
            self.config.measure.what = experiment::quantities(&self.config, subject.images);
            let names: Array = self.config.measure.what.iter().map(|quantity| quantity.name()).collect();
            self.draft.replace("measure.what", names.into());
        }
        let (exponents, weights) = (&self.config.exponents, subject.parameters);
        // Random deviations live in the whole state, eigenvectors in the weights.
        let dimension = match exponents.start {
            StartName::Random => weights * self.config.optimizer.name.vectors(),
            StartName::LambdaMin => weights,
        };
        if exponents.count > dimension {
            return Err(self.draft.blame("exponents.count", &format!("must be at most the dimension, {dimension}")));
        }
        if exponents.count > 0 && exponents.product == ProductName::Difference && subject.has_kinks {
            let told = "`exponents.product` is \"difference\", but differences of gradients take the kinks of ReLU and \
                        max-pooling for curvature";
            let help = "use \"exact\", which every network here offers".to_owned();
            return Err(self.draft.fault_at("exponents.product", |flag| format!("{flag}{told}"))(Some(help)));
        }
        Ok(())
    }

    /// A fault that points at where `key` got its value.
    pub fn refuse(&self, key: &str, message: &str, help: String) -> Error {
        self.draft.fault_at(key, |flag| format!("{flag}{message}"))(Some(help))
    }

    /// Refuses batches and subsets that are larger than the training set.
    pub fn check_sizes(&self, images: usize) -> Result<()> {
        let at_most = format!("must be at most the number of training images, {images}");
        if self.config.run.batch_size > images {
            return Err(self.draft.blame("run.batch_size", &at_most));
        }
        let too_large = |target: &Target| matches!(target, Target::Subset(size) if *size > images);
        if self.config.measure.on.iter().any(too_large) {
            let subsets = format!("must name subsets of at most the number of training images, {images}");
            return Err(self.draft.blame("measure.on", &subsets));
        }
        Ok(())
    }

    /// A fault of the library, shown where the key to blame was written, if a key is to blame.
    pub fn explain(&self, fault: impl Into<lyapunov_burn::Error>) -> Error {
        let fault = fault.into();
        let key = match &fault {
            lyapunov_burn::Error::Core(lyapunov::Error::Argument { name, reason, .. }) => {
                return match self.draft.key_named(name) {
                    Some(key) => self.draft.blame(&key, reason),
                    None => fault.into(),
                };
            }
            lyapunov_burn::Error::Device { .. } => "run.device",
            lyapunov_burn::Error::Core(lyapunov::Error::Product { .. }) => "measure.product",
            _ => return fault.into(),
        };
        let told = fault.to_string();
        self.draft.fault_at(key, |flag| format!("{flag}{told}"))(None)
    }
}

impl Place {
    fn fault(&self, message: String, help: Option<String>) -> Error {
        let place = self.bytes.clone().map(Into::into);
        Misconfiguration { message, help, file: Some(self.file.clone()), place }.into()
    }
}

/// A text, a number or those of a list, however they are written.
fn plain(value: Option<&Value>) -> (Option<&str>, Vec<f64>) {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64));
    let list = value.and_then(Value::as_array).map(|list| list.iter().filter_map(number).collect());
    (value.and_then(Value::as_str), list.unwrap_or_else(|| value.and_then(number).into_iter().collect()))
}

fn fault(message: String, help: Option<String>) -> Error {
    Misconfiguration { message, help, file: None, place: None }.into()
}

fn key_bytes(table: &dyn TableLike, name: &str) -> Option<Range<usize>> {
    let (key, item) = table.get_key_value(name)?;
    key.span().or_else(|| item.span())
}

/// The key whose value covers this byte of a file.
fn key_at(text: &str, byte: usize) -> Option<String> {
    let document = Document::parse(text).ok()?;
    for (section, item) in document.as_table() {
        for (name, item) in item.as_table_like()?.iter() {
            if item.span().is_some_and(|bytes| bytes.contains(&byte)) {
                return Some(format!("{section}.{name}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(assignment: &str) -> String {
        let mut draft = Draft::default();
        let fault = draft.set(assignment).and_then(|()| draft.finish().map(|_| ())).unwrap_err();
        fault.to_string()
    }

    fn hint(key: &str) -> String {
        Draft::default().hint(key)
    }

    #[test]
    fn a_flag_replaces_the_value_and_leaves_the_comment() {
        let mut draft = Draft::default();
        draft.set("optimizer.learning_rate=0.1").unwrap();
        let settings = draft.finish().unwrap();
        assert_eq!(settings.config.optimizer.learning_rate, 0.1);
        assert!(settings.text().contains("learning_rate = 0.1      # η; \"auto\""));
    }

    #[test]
    fn bare_words_are_texts_and_numbers_are_numbers() {
        let mut draft = Draft::default();
        draft.set("model.name=mlp").unwrap();
        draft.set("optimizer.learning_rate=1").unwrap();
        let config = draft.finish().unwrap().config;
        assert_eq!((config.model.name, config.optimizer.learning_rate), (ModelName::Mlp, 1.0));
        assert_eq!(config.model.widths, [200, 200]);
    }

    #[test]
    fn a_linear_model_has_no_widths() {
        let mut draft = Draft::default();
        draft.set("model.name=linear").unwrap();
        draft.set("model.widths=[5]").unwrap();
        let message = draft.finish().map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("`model.widths` must be \"auto\" or []") && message.contains("[5]"), "{message}");
    }

    /// The refusal of several keys together.
    fn refusal_of(assignments: &[&str]) -> String {
        let mut draft = Draft::default();
        for assignment in assignments {
            draft.set(assignment).unwrap();
        }
        draft.finish().map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let edge_step = "control.rule=edge-step";
        let cases: [(&[&str], &str); 10] = [
            (&[edge_step, "control.sigma=-1"], "`control.sigma` must be a number greater than 0, not -1"),
            (&[edge_step, "optimizer.name=dog", "schedule.cooldown=0.0"], "which has no theory for \"dog\""),
            (&["control.rule=adgd", "optimizer.name=adam"], "which has no theory for \"adam\""),
            (&["control.rule=quasi-newton", "measure.every=0"], "decides by lambda_max, which is not measured"),
            (
                &["control.rule=batch-sharpness", "measure.what=[\"lambda_max\"]"],
                "decides by batch_sharpness, which is not measured",
            ),
            (&["control.rule=quasi-newton", "measure.on=[]"], "decides by lambda_max"),
            (&[edge_step, "optimizer.learning_rate=0.1"], "is given, but \"edge-step\" sets the learning rate"),
            (&[edge_step, "schedule.name=cosine"], "that would decay twice"),
            (&["optimizer.name=schedule-free", "schedule.cooldown=0.2"], "\"schedule-free\" decays by itself"),
            (&["control.sigma=2.5"], "`control.sigma` is given, but `control.rule` is \"none\""),
        ];
        for (assignments, expected) in cases {
            let told = refusal_of(assignments);
            assert!(told.contains(expected), "{assignments:?}: {told}");
        }
    }

    #[test]
    fn a_rule_brings_its_strength_its_period_and_a_cooldown() {
        let mut draft = Draft::default();
        draft.set("control.rule=edge-step").unwrap();
        let config = draft.finish().unwrap().config;
        assert_eq!((config.control.sigma, config.control.every, config.schedule.cooldown), (2.0, 20, 0.3));
        let config = Draft::default().finish().unwrap().config;
        assert_eq!((config.optimizer.learning_rate, config.schedule.cooldown), (0.05, 0.0));
    }

    #[test]
    fn values_outside_their_domain_are_refused_by_name() {
        let cases = [
            ("optimizer.learning_rate=-0.1", "must be a number greater than 0, not -0.1"),
            ("optimizer.learning_rate=nan", "must be a number greater than 0, not nan"),
            ("optimizer.learning_rate=fast", "must be a number greater than 0, not \"fast\""),
            ("run.batch_size=0", "must be a whole number from 1 up, not 0"),
            ("run.batch_size=1.5", "must be a whole number from 1 up, not 1.5"),
            ("run.steps=-1", "must be a whole number from 0 up, not -1"),
            ("model.activation=swish", "\"silu\" or \"hardtanh\", not \"swish\""),
            ("model.pooling=min", "must be \"max\" or \"average\", not \"min\""),
            (
                "model.widths=[16, 0]",
                "must be \"auto\" or a list of whole numbers from 1 to 100000, such as [200, 200]",
            ),
            ("model.widths=wide", "not \"wide\""),
            ("model.name=vgg", "\"vit-tiny\" or \"mlp-mixer\", not \"vgg\""),
            (
                "model.init=orthogonal",
                "must be \"default\", \"kaiming\", \"xavier\", \"lecun\", \"ntk\" or \"mup-like\"",
            ),
            ("model.init_scale=0", "must be a number greater than 0, not 0"),
            ("model.depth=16", "`model.depth` is given, but \"cnn\" has none"),
            ("model.depth=deep", "must be \"auto\" or a whole number from 1 to 1000, not \"deep\""),
            ("model.heads=4", "`model.heads` is given, but \"cnn\" has none"),
            ("model.shortcut=padded", "`model.shortcut` is given, but \"cnn\" has none"),
            ("model.shortcut=none", "must be \"auto\", \"padded\" or \"projected\", not \"none\""),
            ("measure.on=[\"batch\", \"batch\"]", "must be a list of different names"),
            ("measure.what=[\"trace\"]", "must be \"auto\" or a list of different names out of \"lambda_max\", "),
            ("measure.what=[\"preconditioned_sharpness\"]", "but \"sgd\" has no preconditioner"),
            ("optimizer.momentum=0.5", "is given, but \"sgd\" has none"),
            ("optimizer.name=lion", "\"prodigy\", \"dog\" or \"schedule-free\", not \"lion\""),
            ("optimizer.betas=[0.9, 1.0]", "two numbers that are at least 0 and less than 1"),
            ("optimizer.weight_decay=-1", "must be a number that is at least 0, not -1"),
            ("schedule.warm_up=1.5", "must be a share of the run, from 0 to 1, not 1.5"),
            ("exponents.product=gauss-newton", "is not the derivative of a step"),
            ("exponents.weights=frozen", "nothing would move"),
            ("exponents.every=0", "must be a whole number from 1 up, not 0"),
            ("exponents.start=top", "must be \"random\" or \"lambda_min\""),
            ("measure.products=100000", "must be a whole number from 1 to 500, not 100000"),
            ("measure.product=newton", "must be \"auto\", \"exact\", \"gauss-newton\" or \"difference\""),
            ("loss.name=l2", "\"focal\" or \"binary-cross-entropy\", not \"l2\""),
            ("loss.l2=-0.1", "must be a number that is at least 0, not -0.1"),
            ("model.dropout=1.0", "must be a number that is at least 0 and less than 1, not 1.0"),
            ("data.augment=1", "must be true or false, not 1"),
            ("loss.label_smoothing=1", "must be a number that is at least 0 and less than 1, not 1"),
            ("run.out=", "must be a text in quotes, not empty, not \"\""),
            ("data.name=cifar10", "`data.path` is empty"),
            ("data.name=mnist", "`data.name` is \"mnist\", but `data.path` is empty"),
            ("data.name=svhn", "\"cifar10\", \"cifar100\", \"cifar100-coarse\", \"mnist\" or \"fashion-mnist\""),
            (
                "data.classes=[]",
                "must be \"all\" or a list of at least two different class numbers, such as [0, 1], not []",
            ),
            ("data.classes=[3]", "at least two"),
            ("data.classes=[3, 3]", "different"),
            ("data.classes=[3, 256]", "class numbers"),
            ("data.classes=some", "must be \"all\" or"),
            ("data.path=somewhere", "reads no files"),
        ];
        for (assignment, told) in cases {
            let message = refusal(assignment);
            let key = assignment.split('=').next().unwrap();
            assert!(message.contains(told) && message.contains(key), "{assignment}: {message}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refusal = |assignments: &[&str]| {
            let mut draft = Draft::default();
            for assignment in assignments {
                draft.set(assignment).unwrap();
            }
            draft.finish().map(|_| ()).unwrap_err().to_string()
        };
        let twice = refusal(&["model.name=wide-resnet-28-10", "model.depth=16"]);
        assert!(twice.contains("`model.depth` must be \"auto\" where `model.name` says it, not 16"), "{twice}");
        let twice = refusal(&["loss.l2=0.1", "optimizer.weight_decay=0.1"]);
        assert!(twice.contains("`--set loss.l2=0.1`") && twice.contains("both given"), "{twice}");
        let unpooled = refusal(&["model.name=mlp", "model.pooling=average"]);
        assert!(unpooled.contains("`model.pooling` is given, but \"mlp\" has none"), "{unpooled}");
        let flat = refusal(&["loss.name=hinge", "measure.product=gauss-newton"]);
        assert!(flat.contains("`measure.product` must be") && flat.contains("piecewise linear"), "{flat}");
        let long = refusal(&["schedule.warm_up=0.6", "schedule.cooldown=0.5"]);
        assert!(long.contains("`schedule.cooldown`") && long.contains("longer than the run"), "{long}");
        let twice = refusal(&["schedule.name=cosine", "schedule.cooldown=0.5"]);
        assert!(twice.contains("which decays already"), "{twice}");
    }

    #[test]
    fn the_nearest_key_is_suggested() {
        assert_eq!(hint("optimizer.learning_rat"), "did you mean `optimizer.learning_rate`?");
        assert_eq!(hint("learning_rate"), "did you mean `optimizer.learning_rate`?");
        assert_eq!(hint("run.learning_rate"), "did you mean `optimizer.learning_rate`?");
        assert_eq!(hint("optimiser"), "did you mean `optimizer`?");
        assert_eq!(hint("optimiser.learning_rate"), "did you mean `optimizer.learning_rate`?");
        assert_eq!(hint("loss"), "[loss] has `name`, `label_smoothing`, `l2`");
        assert_eq!(hint("loss.beta"), "[loss] has `name`, `label_smoothing`, `l2`");
        assert_eq!(hint("nonsense"), "`lyapunov config` prints every key there is");
    }

    #[test]
    fn the_resolved_file_reads_back_to_the_same_configuration() {
        let mut draft = Draft::default();
        draft.set("measure.on=[\"batch\", \"subset=100\"]").unwrap();
        draft.set("data.subset=500").unwrap();
        let settings = draft.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, settings.text()).unwrap();
        let mut again = Draft::default();
        again.read(&path).unwrap();
        assert_eq!(again.finish().unwrap().config, settings.config);
    }
}
