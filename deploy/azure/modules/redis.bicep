// Azure Managed Redis as components/azure/redis wants it: two nodes, an append-only file, one endpoint, nothing evicted, no access key.

param name string
param location string
@description('Such as Balanced_B1. Sizes grow, and never shrink again.')
param sku string
param principalId string

resource cache 'Microsoft.Cache/redisEnterprise@2026-09-01' = {
  name: name
  location: location
  sku: { name: sku }
  properties: {
    highAvailability: 'Enabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2026-09-01' = {
  parent: cache
  name: 'default'
  properties: {
    port: 10000
    clientProtocol: 'Encrypted'
    clusteringPolicy: 'EnterpriseCluster'
    // A run that is evicted is lost.
    evictionPolicy: 'NoEviction'
    accessKeysAuthentication: 'Disabled'
    persistence: { aofEnabled: true, aofFrequency: '1s', rdbEnabled: false }
  }
}

resource bridgeAccess 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2026-09-01' = {
  parent: database
  // Letters and digits only.
  name: 'bridge${uniqueString(database.id, principalId)}'
  properties: {
    accessPolicyName: 'default'
    user: { objectId: principalId }
  }
}

output host string = '${cache.properties.hostName}:10000'
