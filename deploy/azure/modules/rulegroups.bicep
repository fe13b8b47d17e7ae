// The alert rules for Prometheus as Azure Monitor evaluates them. There is one list; what to do about each alert is in docs/operations.md.

param name string
param location string
@description('The resource id of the Azure Monitor workspace to which the cluster sends its metrics.')
param workspaceId string
param clusterName string
param actionGroupId string

var severities = { critical: 1, warning: 2, info: 4 }

resource group 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = [
  for each in loadYamlContent('../../alerts/prometheus.yaml').groups: {
    name: '${name}-${each.name}'
    location: location
    properties: {
      enabled: true
      scopes: [workspaceId]
      clusterName: clusterName
      interval: 'PT1M'
      rules: map(
        each.rules,
        rule =>
          contains(rule, 'record')
            ? { record: rule.record, expression: rule.expr }
            : {
                alert: rule.alert
                expression: rule.expr
                for: 'PT${toUpper(rule.?for ?? '0m')}'
                severity: severities[rule.labels.severity]
                labels: rule.labels
                annotations: rule.annotations
                resolveConfiguration: { autoResolved: true, timeToResolve: 'PT10M' }
                actions: [{ actionGroupId: actionGroupId }]
              }
      )
    }
  }
]
