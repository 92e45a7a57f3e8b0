//! Windows: PowerShell that runs the image's own script, after that of the user.

use crate::adapters::aws::cloud::user_data::{Bootstrap, kubelet_flags};

/// Where Amazon's images have the script.
const SCRIPT: &str = r#"[string]$EKSBootstrapScriptFile = "$env:ProgramFiles\Amazon\EKS\Start-EKSBootstrap.ps1""#;

pub(super) fn user_data(bootstrap: &Bootstrap<'_>) -> String {
    let facts = bootstrap.facts;
    let custom = bootstrap.custom.map(|custom| format!("{}\n", custom.trim_end_matches('\n'))).unwrap_or_default();
    let dns = bootstrap.dns().map(|dns| format!(" -DNSClusterIP '{dns}'")).unwrap_or_default();
    format!(
        "<powershell>\n{custom}{SCRIPT}\n& $EKSBootstrapScriptFile -EKSClusterName '{}' -APIServerEndpoint '{}' \
         -Base64ClusterCA '{}' -KubeletExtraArgs '{}'{dns}\n</powershell>",
        facts.name,
        facts.endpoint,
        facts.ca_bundle,
        kubelet_flags::arguments(bootstrap),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::aws::cloud::user_data::tests::{bootstrap, facts};
    use crate::domain::node_class::AmiFamily;

    #[test]
    fn the_users_commands_come_first() {
        let facts = facts();
        let text = user_data(&bootstrap(AmiFamily::Windows2022, &facts, Some("Write-Host a")));
        assert!(text.starts_with("<powershell>\nWrite-Host a\n[string]$EKSBootstrapScriptFile = "), "{text}");
        assert!(text.contains("-EKSClusterName 'demo' -APIServerEndpoint 'https://ABC"), "{text}");
        assert!(text.contains("-KubeletExtraArgs '--node-labels=\"a=b,"), "{text}");
        assert!(text.ends_with("--max-pods=29' -DNSClusterIP '172.20.0.10'\n</powershell>"), "{text}");
    }
}
