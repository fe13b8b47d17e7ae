// Where logs go, and what somebody is called for. Metrics of Service Bus name queues and topics, never subscriptions.

param name string
param location string
param namespaceName string
param alertEmail string

var bus = resourceId('Microsoft.ServiceBus/namespaces', namespaceName)

type busAlert = {
  name: string
  description: string
  metric: string
  aggregation: 'Average' | 'Total'
  threshold: int
  entity: string
  severity: int
}

var alerts busAlert[] = [
  {
    name: 'given-up'
    description: 'Functions gave work up, and the bridge has not recorded it yet. Is the bridge running? Then look at `bridge deadletters list`.'
    metric: 'ActiveMessages'
    aggregation: 'Average'
    threshold: 0
    entity: 'automation-deadletters'
    severity: 2
  }
  {
    name: 'not-forwarded'
    description: 'A queue or topic holds dead letters of its own: they could not be forwarded to automation-deadletters, and no run hears of them.'
    metric: 'DeadletteredMessages'
    aggregation: 'Average'
    threshold: 0
    entity: '*'
    severity: 1
  }
  {
    name: 'throttled'
    description: 'Service Bus refuses operations because the tier is too small. Requests are slow or get 503.'
    metric: 'ThrottledRequests'
    aggregation: 'Total'
    threshold: 10
    entity: '*'
    severity: 2
  }
  {
    name: 'server-errors'
    description: 'Service Bus itself fails. What was accepted waits; look at the status of Azure in this region.'
    metric: 'ServerErrors'
    aggregation: 'Total'
    threshold: 10
    entity: '*'
    severity: 2
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: name
  location: location
  properties: { sku: { name: 'PerGB2018' }, retentionInDays: 30 }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  kind: 'web'
  properties: { Application_Type: 'web', WorkspaceResourceId: workspace.id, DisableLocalAuth: true }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: [{ name: 'mail', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

resource alert 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for each in alerts: {
    name: '${name}-${each.name}'
    location: 'global'
    properties: {
      description: each.description
      enabled: true
      severity: each.severity
      scopes: [bus]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: each.name
            metricNamespace: 'Microsoft.ServiceBus/namespaces'
            metricName: each.metric
            timeAggregation: each.aggregation
            operator: 'GreaterThan'
            threshold: each.threshold
            dimensions: [{ name: 'EntityName', operator: 'Include', values: [each.entity] }]
          }
        ]
      }
      actions: [{ actionGroupId: people.id }]
    }
  }
]

output actionGroupId string = people.id
