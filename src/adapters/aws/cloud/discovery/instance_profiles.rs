//! The instance profile that carries a NodeClass's role into its instances.
//!
//! A NodeClass that names a role has a profile of its own, which the controller makes, tags and deletes. Its name follows from the
//! region, the cluster, the NodeClass and the role, so that a controller that died half way finds what it has made; another role is
//! another profile, because EC2 goes on serving a profile's old role to instances for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_iam::types::{InstanceProfile, Tag};
use k8s_openapi::jiff::Timestamp;

use super::{DiscoveryError, each_page};
use crate::adapters::aws::cloud::Cloud;
use crate::domain::stable_hash::fnv1a_of_parts;

/// How long the role of a profile is believed.
const PROFILE_KEEP: Duration = Duration::from_mins(15);
/// How long a role that is not there is not asked for again.
const MISSING_ROLE_KEEP: Duration = Duration::from_mins(1);
const NO_SUCH_ENTITY: &str = "NoSuchEntity";

/// Whose profile it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileOwner<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// UID of the EC2NodeClass.
    pub uid: &'a str,
}

/// A profile that the controller made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedProfile {
    /// `<cluster>_<number>`.
    pub name: String,
    /// UID of the EC2NodeClass that it was made for.
    pub node_class_uid: String,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The account has no such role.
    #[error("there is no IAM role `{0}` in the account; create it, or name another in spec.role")]
    RoleNotFound(String),
    /// The class names neither a role nor a profile.
    #[error("neither spec.role nor spec.instanceProfile is set; set one")]
    Unnamed,
    /// IAM could not be asked.
    #[error(transparent)]
    Call(#[from] DiscoveryError),
}

impl Cloud {
    /// The name of a profile with `role` and `tags`, made where it is missing. `current` is the one in use, which is kept while it has
    /// that role.
    ///
    /// # Errors
    /// When there is no such role, or IAM cannot be asked.
    pub async fn instance_profile(
        &self,
        owner: ProfileOwner<'_>,
        role: &str,
        tags: &BTreeMap<String, String>,
        current: Option<&str>,
        now: Timestamp,
    ) -> Result<String, ProfileError> {
        // A role may be given with its path, but is named without.
        let role = role.rsplit('/').next().unwrap_or(role);
        let only_role = |roles: &[String]| roles == [role];
        if let Some(current) = current
            && self.profile_roles(current, now).await?.is_some_and(|roles| only_role(&roles))
        {
            return Ok(current.to_owned());
        }
        let missing = || ProfileError::RoleNotFound(role.to_owned());
        if self.memory.missing_roles.get(role, now).is_some() {
            return Err(missing());
        }
        let name = profile_name(&self.region, owner, role);
        let roles = match self.profile_roles(&name, now).await? {
            Some(roles) => roles,
            None => {
                self.create_profile(&name, owner, tags).await?;
                Vec::new()
            }
        };
        if only_role(&roles) {
            return Ok(name);
        }
        // A profile holds one role.
        for other in &roles {
            self.remove_role(&name, other).await?;
        }
        if let Err(error) = self.iam.add_role_to_instance_profile().instance_profile_name(&name).role_name(role).send().await {
            let error = DiscoveryError::from_sdk(&self.region, "iam:AddRoleToInstanceProfile", &error);
            self.delete_instance_profile(&name).await?;
            if !error.is(NO_SUCH_ENTITY) {
                return Err(error.into());
            }
            self.memory.missing_roles.put(role, (), MISSING_ROLE_KEEP, now);
            return Err(missing());
        }
        self.memory.profile_roles.put(&name, vec![role.to_owned()], PROFILE_KEEP, now);
        Ok(name)
    }

    /// Takes the roles out of a profile and deletes it; one that is not there is deleted already.
    ///
    /// # Errors
    /// When IAM cannot be asked.
    pub async fn delete_instance_profile(&self, name: &str) -> Result<(), DiscoveryError> {
        self.memory.profile_roles.forget(name);
        for role in self.ask_profile_roles(name).await?.into_iter().flatten() {
            self.remove_role(name, &role).await?;
        }
        let answer = self.iam.delete_instance_profile().instance_profile_name(name).send().await;
        self.unless_gone("iam:DeleteInstanceProfile", answer.map(|_| ()))
    }

    /// The profiles that the controller made for a cluster, or for one EC2NodeClass of it, by name.
    ///
    /// # Errors
    /// When IAM cannot be asked.
    pub async fn managed_instance_profiles(
        &self,
        cluster: &str,
        node_class_uid: Option<&str>,
    ) -> Result<Vec<ManagedProfile>, DiscoveryError> {
        let prefix = match node_class_uid {
            Some(uid) => profile_path(&self.region, ProfileOwner { cluster, uid }),
            None => cluster_path(&self.region, cluster),
        };
        let pages = self.iam.list_instance_profiles().path_prefix(&prefix).into_paginator().send();
        let mut found = Vec::new();
        each_page(&self.region, "iam:ListInstanceProfiles", pages, |page| {
            // What is listed may be deleted, so that nothing is taken on trust.
            let ours = page.instance_profiles().iter().filter(|profile| profile.path().starts_with(&prefix));
            found.extend(ours.map(|profile| ManagedProfile {
                name: profile.instance_profile_name().to_owned(),
                node_class_uid: profile.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
                created: Timestamp::from_second(profile.create_date().secs()).ok(),
            }));
        })
        .await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The roles of a profile as they are believed to be; `None` where there is no such profile.
    async fn profile_roles(&self, name: &str, now: Timestamp) -> Result<Option<Vec<String>>, DiscoveryError> {
        if let Some(known) = self.memory.profile_roles.get(name, now) {
            return Ok(Some(known));
        }
        let roles = self.ask_profile_roles(name).await?;
        if let Some(roles) = &roles {
            self.memory.profile_roles.put(name, roles.clone(), PROFILE_KEEP, now);
        }
        Ok(roles)
    }

    async fn ask_profile_roles(&self, name: &str) -> Result<Option<Vec<String>>, DiscoveryError> {
        match self.iam.get_instance_profile().instance_profile_name(name).send().await {
            Ok(answer) => {
                let roles = answer.instance_profile().map(InstanceProfile::roles).unwrap_or_default();
                Ok(Some(roles.iter().map(|role| role.role_name().to_owned()).collect()))
            }
            Err(error) => {
                let error = DiscoveryError::from_sdk(&self.region, "iam:GetInstanceProfile", &error);
                if error.is(NO_SUCH_ENTITY) { Ok(None) } else { Err(error) }
            }
        }
    }

    async fn create_profile(
        &self,
        name: &str,
        owner: ProfileOwner<'_>,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), DiscoveryError> {
        let action = "iam:CreateInstanceProfile";
        let tag = |(key, value): (&String, &String)| {
            Tag::builder().key(key).value(value).build().expect("a tag with key and value is one")
        };
        let request = self.iam.create_instance_profile().instance_profile_name(name);
        let request = request.path(profile_path(&self.region, owner)).set_tags(Some(tags.iter().map(tag).collect()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = DiscoveryError::from_sdk(&self.region, action, &error);
                // Another answer of IAM was older than the profile.
                if error.is("EntityAlreadyExists") { Ok(()) } else { Err(error) }
            }
        }
    }

    async fn remove_role(&self, name: &str, role: &str) -> Result<(), DiscoveryError> {
        let answer = self.iam.remove_role_from_instance_profile().instance_profile_name(name).role_name(role).send().await;
        self.unless_gone("iam:RemoveRoleFromInstanceProfile", answer.map(|_| ()))
    }

    fn unless_gone<E>(
        &self,
        action: &'static str,
        answer: Result<(), aws_sdk_ec2::error::SdkError<E>>,
    ) -> Result<(), DiscoveryError>
    where
        E: aws_sdk_ec2::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Err(error) = answer else { return Ok(()) };
        let error = DiscoveryError::from_sdk(&self.region, action, &error);
        if error.is(NO_SUCH_ENTITY) { Ok(()) } else { Err(error) }
    }
}

fn cluster_path(region: &str, cluster: &str) -> String {
    format!("/karpenter/{region}/{cluster}/")
}

fn profile_path(region: &str, owner: ProfileOwner<'_>) -> String {
    format!("{}{}/", cluster_path(region, owner.cluster), owner.uid)
}

/// Cluster names have at most 100 characters and names of profiles 128, so that there is room for the number.
fn profile_name(region: &str, owner: ProfileOwner<'_>, role: &str) -> String {
    format!("{}_{}", owner.cluster, fnv1a_of_parts(&[region, owner.uid, role]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_role_or_node_class_is_another_profile() {
        let owner = ProfileOwner { cluster: "prod", uid: "1f0c" };
        let name = profile_name("eu-west-1", owner, "nodes");
        assert_eq!(name, profile_name("eu-west-1", owner, "nodes"));
        assert!(name.strip_prefix("prod_").is_some_and(|number| number.parse::<u64>().is_ok()), "{name}");
        assert_ne!(name, profile_name("eu-west-1", owner, "others"));
        assert_ne!(name, profile_name("eu-west-1", ProfileOwner { uid: "2f0c", ..owner }, "nodes"));
        assert_ne!(name, profile_name("eu-west-2", owner, "nodes"));
        assert_eq!(profile_path("eu-west-1", owner), "/karpenter/eu-west-1/prod/1f0c/");
    }
}
