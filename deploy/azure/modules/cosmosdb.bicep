// Azure Cosmos DB as components/azure/cosmosdb wants it: strong consistency, one write region, time to live, no index but that of the id.

param name string
param location string
param principalId string

// Built into every account: Cosmos DB Built-in Data Contributor.
var dataContributor = '00000000-0000-0000-0000-000000000002'

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = {
  name: name
  location: location
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    // With less a replica may not see what another one has stored, and a run could start twice.
    consistencyPolicy: { defaultConsistencyLevel: 'Strong' }
    locations: [{ locationName: location, failoverPriority: 0 }]
    enableMultipleWriteLocations: false
    disableLocalAuth: true
    minimalTlsVersion: 'Tls12'
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2026-03-15' = {
  parent: account
  name: 'automation-bridge'
  properties: { resource: { id: 'automation-bridge' } }
}

resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2026-03-15' = {
  parent: database
  name: 'state'
  properties: {
    resource: {
      id: 'state'
      partitionKey: { paths: ['/partitionKey'], kind: 'Hash' }
      // Time to live is on, and only what has one of its own ends.
      defaultTtl: -1
      // Nothing is queried. The mode is not `none`, because that excludes time to live.
      indexingPolicy: { indexingMode: 'consistent', includedPaths: [], excludedPaths: [{ path: '/*' }] }
    }
    options: { autoscaleSettings: { maxThroughput: 4000 } }
  }
}

resource mayWrite 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2026-03-15' = {
  parent: account
  name: guid(container.id, principalId, dataContributor)
  properties: {
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/${dataContributor}'
    principalId: principalId
    scope: '${account.id}/dbs/${database.name}/colls/${container.name}'
  }
}

output url string = account.properties.documentEndpoint
