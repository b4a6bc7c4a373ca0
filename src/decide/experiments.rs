//! Which variant this caller gets of each experiment that the rule names, and who has to be told.

use super::step::SetCookie;
use super::{Around, Way};
use crate::assertion::Chosen;
use crate::authn::{Claim, Principal};
use crate::authz::Facts;
use crate::cache::Key;
use crate::experiment::{
    Assigned, Audience, By, Experiment, Exposure, Force, Hashed, Kind, Remember, Stands, Unit, Variants, Why,
};
use crate::policy::{Place, Rule};
use crate::request::{Connection, Request, cookie as cookies, query};
use crate::rule::Match;
use std::borrow::Cow;
use std::sync::Arc;

/// Far above any id, and hashed for every experiment of the rule: what is longer is no unit.
const LONGEST_UNIT_BYTES: usize = 1024;

impl Way {
    /// For a request that may go on. What is set here may choose its route.
    pub(super) fn experiment(&mut self, principal: Option<&Principal>, around: &mut Around) {
        let Some(rule) = self.rule.clone().filter(|rule| !rule.experiments.is_empty()) else {
            return;
        };
        self.assigned.reserve_exact(rule.experiments.len());
        for experiment in rule.experiments.iter() {
            let assigned = self.assign(experiment, &rule, principal, around);
            if !experiment.is_shadow() {
                self.tell_upstream(&assigned);
            }
            self.assigned.push(assigned);
        }
        self.show_drawn();
    }

    /// The rule refused: who has no unit is given one all the same.
    pub(super) fn cookies_of_refusal(
        &self,
        principal: Option<&Principal>,
        connection: &dyn Connection,
    ) -> Vec<SetCookie> {
        let mut cookies = Vec::new();
        let (Some(rule), Some(drawn)) = (&self.rule, &self.drawn) else {
            return cookies;
        };
        let facts = self.facts(rule, principal, connection);
        for experiment in rule.experiments.iter().filter(|experiment| !experiment.is_shadow()) {
            if let Some(remember) = &experiment.remember
                && find(experiment, &facts, &mut |_| {}).is_none()
            {
                give(&mut cookies, remember, drawn);
            }
        }
        cookies
    }

    /// Whoever might have no unit has one drawn before anybody knows, since every exit may have to give it.
    pub(super) fn draw_unit(&mut self, around: &mut Around) {
        let Some(rule) = self.rule.as_ref().filter(|rule| !rule.experiments.is_empty()) else {
            return;
        };
        let lacks = |experiment: &Arc<Experiment>| {
            let remember = experiment.remember.as_ref().filter(|_| !experiment.is_shadow());
            remember.is_some_and(|remember| short(cookie(&self.request, &remember.cookie)).is_none())
        };
        if rule.experiments.iter().any(lacks) && !self.request.is_preflight() {
            self.drawn = Some(around.memory.draw_unit());
        }
    }

    /// What this request's assertion says: our own variants, and those of an earlier gate that we do not know.
    pub(super) fn variants<'a>(&'a self, principal: &'a Principal) -> Vec<Chosen<'a>> {
        let own = self.assigned.iter().filter(|assigned| !assigned.experiment.is_shadow());
        let mut chosen: Vec<Chosen> = own
            .filter_map(|assigned| Some((&*assigned.experiment.name, &**assigned.variant()?)))
            .collect();
        for (experiment, variant) in &principal.variants {
            if !self
                .assigned
                .iter()
                .any(|assigned| *assigned.experiment.name == **experiment)
            {
                chosen.push((experiment, variant));
            }
        }
        chosen
    }

    /// The exposures that nobody told yet, and those that wait for the route's choice.
    pub(super) fn expose(&mut self, around: &mut Around) -> Vec<Exposure> {
        let Some(rule) = self.rule.as_ref().filter(|_| !self.assigned.is_empty()) else {
            return Vec::new();
        };
        let mut exposures = Vec::new();
        let mut hashed: Option<(&Hashed, Key)> = None;
        for assigned in &self.assigned {
            let Some(unit) = assigned.exposes() else { continue };
            if matches!(assigned.stands, Stands::Bucket(_)) {
                self.of_variants.by_route.push(assigned.exposure(unit, &rule.name));
                continue;
            }
            let alike = |other: &Hashed| Arc::ptr_eq(&other.value, &unit.value) && other.from == unit.from;
            let known = hashed.filter(|(other, _)| alike(other));
            let (_, key) = *hashed.insert(known.unwrap_or_else(|| (unit, around.memory.unit_key(unit))));
            if around.memory.first_assigned(assigned, key, around.shared, around.now) {
                exposures.push(assigned.exposure(unit, &rule.name));
            }
        }
        exposures
    }

    fn facts<'a>(
        &'a self,
        rule: &'a Rule,
        principal: Option<&'a Principal>,
        connection: &'a dyn Connection,
    ) -> Facts<'a> {
        Facts {
            principal,
            request: &self.request,
            rule,
            connection,
        }
    }

    fn assign(
        &mut self,
        experiment: &Arc<Experiment>,
        rule: &Arc<Rule>,
        principal: Option<&Principal>,
        around: &mut Around,
    ) -> Assigned {
        let assigned = |stands, unit| Assigned {
            experiment: experiment.clone(),
            stands,
            unit,
        };
        let connection = around.connection;
        let variants = match &experiment.kind {
            Kind::Bucket(_) => None,
            Kind::Variants(variants) => Some(variants),
        };
        if let Some(variants) = variants {
            let facts = self.facts(rule, principal, connection);
            if let Some(at) = variants
                .force
                .as_ref()
                .and_then(|force| forced(force, variants, &facts))
            {
                // Who may choose stands in no header that a cache could go by.
                self.of_variants.private |= !experiment.is_shadow();
                return assigned(Stands::In(at, By::Force), None);
            }
            if let Some(at) = principal.and_then(|principal| told_by_gate(principal, experiment, variants)) {
                return assigned(Stands::In(at, By::Gate), None);
            }
            let takes = takes(&variants.audience, &facts);
            if !experiment.is_shadow() {
                self.varies_by_audience(&variants.audience);
            }
            if !takes {
                return assigned(Stands::Out(Why::Audience), None);
            }
        }
        let Some(unit) = self.unit(experiment, rule, principal, connection) else {
            return assigned(Stands::Out(Why::NoUnit), None);
        };
        let Some(variants) = variants else {
            return assigned(Stands::Bucket(experiment.bucket(&unit.value)), Some(unit));
        };
        let stands = match variants.assign(&experiment.seed, &unit.value, around.now).variant {
            Some(at) => Stands::In(at, By::Share),
            None if variants.layer.as_ref().is_some_and(|layer| !layer.holds(&unit.value)) => Stands::Out(Why::Layer),
            None => Stands::Out(Why::Share),
        };
        assigned(stands, Some(unit))
    }

    /// As it stands in the request, or drawn for whoever has none.
    fn unit(
        &mut self,
        experiment: &Experiment,
        rule: &Arc<Rule>,
        principal: Option<&Principal>,
        connection: &dyn Connection,
    ) -> Option<Hashed> {
        // Experiments of one rule mostly go by the same units.
        let alike = |other: &&Assigned| {
            other.unit.is_some()
                && other.experiment.units == experiment.units
                && other.experiment.sticky == experiment.sticky
                && other.experiment.remember == experiment.remember
                && other.experiment.is_shadow() == experiment.is_shadow()
        };
        if let Some(other) = self.assigned.last().filter(alike) {
            return other.unit.clone();
        }
        let mut looked: Vec<Cow<'static, str>> = Vec::new();
        let facts = self.facts(rule, principal, connection);
        let found = find(experiment, &facts, &mut |unit| match unit {
            Unit::Cookie(_) => looked.push("Cookie".into()),
            Unit::Header(name) => looked.push(name.as_str().to_owned().into()),
            Unit::Subject | Unit::Claim(_) | Unit::ClientIp => {}
        });
        let found = found.map(|(source, value)| Hashed {
            source: Some(source),
            from: experiment.units.get(source).map_or("", Unit::word),
            value: value.as_ref().into(),
        });
        if experiment.is_shadow() {
            return found;
        }
        looked.into_iter().for_each(|name| self.varies_by(name));
        found.or_else(|| {
            let (remember, drawn) = (experiment.remember.as_ref()?, self.drawn.as_ref()?);
            give(&mut self.of_variants.cookies, remember, drawn);
            Some(Hashed {
                source: None,
                // As the next request has it.
                from: "cookie",
                value: drawn.as_bytes().into(),
            })
        })
    }

    /// Whoever is not taken sees something else than those who are.
    fn varies_by_audience(&mut self, audience: &Audience) {
        let Match { headers, cookies, .. } = &audience.matcher;
        for (name, _) in headers {
            self.varies_by(name.as_str().to_owned().into());
        }
        if !cookies.is_empty() {
            self.varies_by("Cookie".into());
        }
    }

    fn varies_by(&mut self, name: Cow<'static, str>) {
        let vary = &mut self.of_variants.vary;
        if !vary.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
            vary.push(name);
        }
    }

    fn tell_upstream(&mut self, assigned: &Assigned) {
        let variants = match (&assigned.experiment.kind, assigned.stands) {
            (Kind::Bucket(header), Stands::Bucket(bucket)) => {
                return self.edits.set(header.as_str().as_bytes(), bucket.to_string());
            }
            (Kind::Bucket(_), _) => return,
            (Kind::Variants(variants), _) => variants,
        };
        let told = match assigned.stands {
            Stands::In(at, _) => variants.variants.get(at).map(|variant| &variant.told),
            Stands::Out(_) | Stands::Bucket(_) => variants.told_outside.as_ref(),
        };
        let Some(told) = told else { return };
        if let (Some(header), Some((_, value))) = (&variants.response_header, told.first()) {
            let field = (header.as_str().as_bytes().to_vec(), value.clone());
            self.of_variants.set.push(field);
        }
        self.edits.variants.push(told.clone());
    }

    /// The upstream sees the cookie at once: the next gate, or an SDK in the service, goes by the same unit.
    fn show_drawn(&mut self) {
        for cookie in &self.of_variants.cookies {
            let set = self.edits.set.iter().find(|(name, _)| name == b"cookie");
            let mut value = match set {
                Some((_, value)) => value.clone(),
                None if self.edits.remove.contains(b"cookie") => Vec::new(),
                None => self.request.headers.all("cookie").collect::<Vec<_>>().join(&b"; "[..]),
            };
            // One that was no unit to us must be none to the next reader; and quotes of others hide nothing that comes first.
            let others = cookies::without(&value, |name| name == cookie.name.as_bytes()).unwrap_or_default();
            value.clear();
            value.extend_from_slice(cookie.name.as_bytes());
            value.push(b'=');
            value.extend_from_slice(cookie.value.as_bytes());
            if !others.is_empty() {
                value.extend_from_slice(b"; ");
                value.extend_from_slice(&others);
            }
            self.edits.set(b"cookie", value);
        }
    }
}

/// One cookie for all experiments that name it.
fn give(cookies: &mut Vec<SetCookie>, remember: &Remember, drawn: &str) {
    if !cookies.iter().any(|cookie| cookie.name == remember.cookie) {
        cookies.push(SetCookie {
            name: remember.cookie.clone(),
            value: drawn.to_owned(),
            max_age: remember.max_age,
            on_cacheable: remember.on_cacheable,
        });
    }
}

/// The first that is there, and its position. `looked` is told of each that was looked for.
fn find<'a>(
    experiment: &'a Experiment,
    facts: &Facts<'a>,
    looked: &mut dyn FnMut(&Unit),
) -> Option<(usize, Cow<'a, [u8]>)> {
    let is_cookie = |unit: &Unit| matches!(unit, Unit::Cookie(_));
    let mut found = |first: bool| {
        experiment.units.iter().enumerate().find_map(|(at, unit)| {
            if experiment.sticky && is_cookie(unit) != first {
                return None;
            }
            looked(unit);
            Some((at, short(value(unit, facts))?))
        })
    };
    match experiment.sticky {
        true => found(true).or_else(|| found(false)),
        false => found(true),
    }
}

fn value<'a>(unit: &Unit, facts: &Facts<'a>) -> Option<Cow<'a, [u8]>> {
    let text = |text: &'a String| (!text.is_empty()).then(|| text.as_bytes().into());
    match unit {
        Unit::Subject => text(&facts.principal?.subject),
        Unit::Claim(path) => match facts.principal?.claim(path)? {
            Claim::Scalar(value) => text(value),
            Claim::List(_) | Claim::Object(_) => None,
        },
        Unit::Cookie(name) => cookie(facts.request, name).map(Cow::Borrowed),
        Unit::Header(name) => one(facts.request.headers.all(name.as_str()).map(Cow::Borrowed)),
        Unit::ClientIp => Some(facts.connection.source_ip()?.to_string().into_bytes().into()),
    }
}

fn short<T: AsRef<[u8]>>(value: Option<T>) -> Option<T> {
    value.filter(|value| value.as_ref().len() <= LONGEST_UNIT_BYTES)
}

fn cookie<'a>(request: &'a Request, wanted: &str) -> Option<&'a [u8]> {
    let named = request.cookies().filter(|(name, _)| *name == wanted.as_bytes());
    one(named.map(|(_, value)| value))
}

/// None where nothing is, or two that are not the same: nobody is told which one the upstream would read.
fn one<T: AsRef<[u8]> + PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next().filter(|value| !value.as_ref().is_empty())?;
    values.all(|other| other == first).then_some(first)
}

fn takes(audience: &Audience, facts: &Facts) -> bool {
    let Audience { require, matcher } = audience;
    require.check(facts).is_ok() && matcher.holds(facts.request, facts.connection)
}

/// What the first place names that names a variant, for whoever may choose.
pub(crate) fn forced(force: &Force, variants: &Variants, facts: &Facts) -> Option<usize> {
    let request = facts.request;
    let named = force.places.iter().find_map(|place| {
        let named = match place {
            Place::Header(name) => one(request.headers.all(name.as_str()).map(Cow::Borrowed)),
            Place::Cookie(name) => cookie(request, name).map(Cow::Borrowed),
            Place::Query(wanted) => {
                let parameters = query::parameters(request.query().unwrap_or_default());
                one(parameters
                    .filter(|(name, _)| **name == *wanted.as_bytes())
                    .map(|(_, value)| value))
            }
            Place::CookiePrefix(_) => None,
        };
        variants.position(&named?)
    });
    // Last, since a condition on the peer costs a call into the proxy.
    named.filter(|_| force.require.check(facts).is_ok())
}

fn told_by_gate(principal: &Principal, experiment: &Experiment, variants: &Variants) -> Option<usize> {
    let mut told = principal.variants.iter();
    let (_, variant) = told.find(|(name, _)| **name == *experiment.name)?;
    variants.position(variant.as_bytes())
}
