//! Launch templates in EC2: made when they are needed, ended when they have not been for a while.
//!
//! An account has room for 5,000 of them in a region, so none is left behind: on start those of the cluster are taken up by their tags,
//! and what nobody uses for [`IDLE`] is deleted (AWS provider of Karpenter v1.15.1, `pkg/providers/launchtemplate`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ec2::types::{Filter, ResourceType, TagSpecification};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::adapters::aws::cloud::Cloud;
use crate::adapters::aws::cloud::call_error::CallError;
use crate::adapters::aws::cloud::tags;
use crate::adapters::aws::cloud::template::Template;
use crate::domain::labels;

/// For how long a template that nobody uses is kept.
const IDLE: Duration = Duration::from_mins(1);
/// Templates on a page.
const PAGE: i32 = 200;

/// A template that is in use, or was lately.
#[derive(Clone, Debug)]
struct Known {
    /// Filled once it is known to exist; whoever else needs it meanwhile waits.
    exists: Arc<OnceCell<()>>,
    used: Instant,
}

/// The templates that are known to exist, by name.
#[derive(Debug, Default)]
pub(super) struct LaunchTemplates {
    known: Mutex<BTreeMap<String, Known>>,
}

impl LaunchTemplates {
    /// Notes that `name` is used at that moment.
    fn touch(&self, name: &str, now: Instant) -> Arc<OnceCell<()>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(name.to_owned()).or_insert_with(|| Known { exists: Arc::default(), used: now });
        entry.used = now;
        Arc::clone(&entry.exists)
    }

    /// They are not there, whatever was known.
    pub(super) fn forget<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            known.remove(name);
        }
    }

    /// Takes out the names that nobody used for [`IDLE`].
    fn take_idle(&self, now: Instant) -> Vec<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let idle: Vec<String> = known
            .iter()
            .filter(|(_, entry)| now.saturating_duration_since(entry.used) >= IDLE)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &idle {
            known.remove(name);
        }
        idle
    }
}

impl Cloud {
    /// The name of the template with that content, which exists then.
    pub(super) async fn ensure_launch_template(&self, template: &Template) -> Result<String, CallError> {
        let name = template.name();
        let exists = self.shared.templates.touch(&name, Instant::now());
        exists
            .get_or_try_init(|| async {
                if !self.has_launch_template(&name).await? {
                    self.create_launch_template(&name, template).await?;
                }
                Ok(())
            })
            .await?;
        Ok(name)
    }

    async fn has_launch_template(&self, name: &str) -> Result<bool, CallError> {
        match self.ec2.describe_launch_templates().launch_template_names(name).send().await {
            Ok(found) => Ok(!found.launch_templates().is_empty()),
            Err(error) => {
                let error = CallError::new("DescribeLaunchTemplates", &error);
                if error.is_not_found() { Ok(false) } else { Err(error) }
            }
        }
    }

    async fn create_launch_template(&self, name: &str, template: &Template) -> Result<(), CallError> {
        self.shared.limits.create_launch_template.take().await;
        let tagged = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .set_tags(Some(tags::for_ec2(&template.tags)))
            .build();
        let made = self.ec2.create_launch_template().launch_template_name(name).tag_specifications(tagged);
        match made.launch_template_data(template.for_ec2(self.region())).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = CallError::new("CreateLaunchTemplate", &error);
                // Another replica, or an attempt whose answer was lost, made the same.
                if error.code == "InvalidLaunchTemplateName.AlreadyExistsException" { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Deletes the templates that nobody has used for a minute. Call it about that often. A launch that wants one again at that moment makes
    /// it again.
    ///
    /// # Errors
    /// The first template that EC2 does not delete; it is tried again at the next sweep.
    pub async fn sweep_launch_templates(&self, now: Instant) -> Result<usize, CallError> {
        let idle = self.shared.templates.take_idle(now);
        for (done, name) in idle.iter().enumerate() {
            if let Err(error) = self.delete_launch_template(name).await {
                for left in idle.iter().skip(done) {
                    // Known to exist, and idle already: the next sweep takes it again.
                    let cell = self.shared.templates.touch(left, now.checked_sub(IDLE).unwrap_or(now));
                    let _ = cell.set(());
                }
                return Err(error);
            }
        }
        Ok(idle.len())
    }

    /// Takes up the templates that an earlier run of the controller made for `cluster`, so that they are deleted if nobody needs them.
    ///
    /// # Errors
    /// When EC2 cannot be asked.
    pub async fn take_up_launch_templates(&self, cluster: &str) -> Result<usize, CallError> {
        let names = self.launch_templates_with(&[(tags::CLUSTER, cluster)]).await?;
        let now = Instant::now();
        for name in &names {
            let _ = self.shared.templates.touch(name, now).set(());
        }
        Ok(names.len())
    }

    /// Deletes the templates of a NodeClass that goes.
    ///
    /// # Errors
    /// When EC2 cannot be asked, or does not delete one.
    pub async fn delete_launch_templates(&self, cluster: &str, node_class: &str) -> Result<usize, CallError> {
        let names = self.launch_templates_with(&[(tags::CLUSTER, cluster), (labels::NODE_CLASS, node_class)]).await?;
        self.shared.templates.forget(names.iter().map(String::as_str));
        for name in &names {
            self.delete_launch_template(name).await?;
        }
        Ok(names.len())
    }

    async fn delete_launch_template(&self, name: &str) -> Result<(), CallError> {
        self.shared.limits.delete_launch_template.take().await;
        match self.ec2.delete_launch_template().launch_template_name(name).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = CallError::new("DeleteLaunchTemplate", &error);
                if error.is_not_found() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Names of the templates that have all these tags.
    async fn launch_templates_with(&self, wanted: &[(&str, &str)]) -> Result<Vec<String>, CallError> {
        let filters = wanted.iter().map(|(key, value)| Filter::builder().name(format!("tag:{key}")).values(*value).build());
        let mut pages = self
            .ec2
            .describe_launch_templates()
            .set_filters(Some(filters.collect()))
            .into_paginator()
            .page_size(PAGE)
            .items()
            .send();
        let mut names = Vec::new();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|error| CallError::new("DescribeLaunchTemplates", &error))?;
            names.extend(found.launch_template_name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_kept() {
        let templates = LaunchTemplates::default();
        let start = Instant::now();
        templates.touch("a", start);
        templates.touch("b", start);
        templates.touch("a", start + Duration::from_secs(30));
        assert_eq!(templates.take_idle(start + Duration::from_secs(59)), Vec::<String>::new());
        assert_eq!(templates.take_idle(start + IDLE), ["b"]);
        templates.forget(["a"]);
        assert_eq!(templates.take_idle(start + IDLE * 3), Vec::<String>::new());
    }
}
