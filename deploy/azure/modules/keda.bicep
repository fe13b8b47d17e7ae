// KEDA counts what waits in the bridge's subscriptions. Azure has no built-in role that counts and cannot read messages.

param namespaceName string
param principalId string
@description('The subscriptions, `topic/subscription`.')
param subscriptions string[]

var role = guid(resourceGroup().id, 'Automation Bridge message counts')

resource counts 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: role
  properties: {
    // Names of roles are unique in a tenant.
    roleName: 'Automation Bridge message counts (${namespaceName})'
    description: 'Reads how many messages wait in topics and subscriptions of Service Bus, and no message.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: [
          'Microsoft.ServiceBus/namespaces/topics/read'
          'Microsoft.ServiceBus/namespaces/topics/subscriptions/read'
        ]
      }
    ]
  }
}

resource counted 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' existing = [
  for source in subscriptions: {
    name: '${namespaceName}/${source}'
  }
]

resource mayCount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (source, at) in subscriptions: {
    scope: counted[at]
    name: guid(counted[at].id, principalId, role)
    properties: { roleDefinitionId: counts.id, principalId: principalId, principalType: 'ServicePrincipal' }
  }
]
