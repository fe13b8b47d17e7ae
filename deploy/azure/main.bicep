// Everything on Azure that the bridge needs beside its cluster. docs/deploying.md has the order of the steps.
import { namespaceList, subscriptionsOf } from 'modules/entities.bicep'
import { onlyOf } from 'modules/listchecks.bicep'

targetScope = 'resourceGroup'

@description('The beginning of all names: small letters and digits.')
@minLength(3)
@maxLength(12)
param name string
param location string = resourceGroup().location

@description('Topics, queues, subscriptions and rules. There is one list, for the laptop and for Azure.')
param list namespaceList = loadJsonContent('../../components/servicebus.json').UserConfig.Namespaces[0]
@description('Standard carries messages of 256 kB, Premium of 1 MB and more. Changing to Premium later is a migration.')
param serviceBusSku 'Standard' | 'Premium' = 'Standard'

@description('Where runs are kept: redis is faster, cosmosdb loses nothing when all nodes end at once.')
param store 'redis' | 'cosmosdb' = 'redis'
param redisSku string = 'Balanced_B1'

@description('The issuer of the cluster: az aks show --query oidcIssuerProfile.issuerUrl.')
param oidcIssuer string
@description('Where the bridge runs in the cluster.')
param kubernetesNamespace string = 'default'
param serviceAccount string = 'automation-bridge'

@sealed()
type functionApp = {
  @description('Its name in the catalogue.')
  @maxLength(32)
  name: string
  runtime: 'python' | 'powershell' | 'dotnet-isolated'
  version: string
  @description('What it receives from, `topic/subscription`, each in the list.')
  receives: string[]
  @description('Its functions behind topics.')
  alwaysReady: string[]
  @description('What its code reads.')
  settings: { *: string }
}
param apps functionApp[] = []

@sealed()
type application = {
  @description('Its app id, which is the name of its service account, too.')
  @maxLength(32)
  name: string
  kubernetesNamespace: string
  @description('Topics and queues it publishes to: automation-requests to ask for automations, automation-results to do work.')
  sends: string[]
  @description('What it receives from, `topic/subscription`, each in the list.')
  receives: string[]
}
@description('Applications on the cluster that ask for automations or do their work (components/requester, components/worker).')
param applications application[] = []

@description('Lets the bridge read the dead letters that stay in subscriptions of functions.')
param readDeadLetters bool = false
@description('Whether KEDA scales the bridge by what waits in its subscriptions.')
param keda bool = false
@description('Who gets a mail when an alert fires.')
param alertEmail string
@description('The Azure Monitor workspace that has the metrics of the cluster (az aks update --enable-azure-monitor-metrics). Empty: there is none, and no rules.')
param metricsWorkspaceId string = ''
@description('The name of the cluster, so that its rules look at no other cluster of the workspace.')
param clusterName string = ''
@description('Puts the keys of the function apps into the vault. True once their code has been published.')
param copyFunctionKeys bool = false

// Names that are unique in the world. They are made here and not read from modules, so that they are known before anything is made.
var isName = onlyOf(name, 'abcdefghijklmnopqrstuvwxyz0123456789') && !contains('0123456789', first(name))
var suffix = isName
  ? take(uniqueString(resourceGroup().id), 8)
  : fail('name: "${name}" has other characters than small letters and digits, or begins with a digit; storage and vault need that.')
var namespaceName = '${name}-${suffix}'
var vaultName = '${name}-${suffix}'
var storeName = '${name}-${suffix}'
var serviceBusHost = '${namespaceName}.servicebus.windows.net'

var queueNames = map(list.?Queues ?? [], queue => queue.Name)
var topicNames = map(list.?Topics ?? [], topic => topic.Name)
var deadLetters = 'automation-deadletters'
// The subscriptions of components/azure/bus.yaml, whose consumerID is `bridge`.
var ownSubscriptions = map(filter(subscriptionsOf(list), each => each.name == 'bridge'), each => each.source)
var appSubscriptions = flatten(map(apps, app => app.receives))

resource bridge 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-bridge'
  location: location
}

resource scaler 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (keda) {
  name: '${name}-keda'
  location: location
}

resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for app in apps: {
    name: '${name}-${app.name}'
    location: location
  }
]

resource applicationIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for application in applications: {
    name: '${name}-${application.name}'
    location: location
  }
]

module bridgeOnCluster 'modules/identity.bicep' = {
  params: {
    identityName: bridge.name
    oidcIssuer: oidcIssuer
    kubernetesNamespace: kubernetesNamespace
    serviceAccount: serviceAccount
  }
}

module scalerOnCluster 'modules/identity.bicep' = if (keda) {
  params: {
    identityName: scaler.name
    oidcIssuer: oidcIssuer
    // The add-on of AKS runs there.
    kubernetesNamespace: 'kube-system'
    serviceAccount: 'keda-operator'
  }
}

module applicationOnCluster 'modules/identity.bicep' = [
  for (application, at) in applications: {
    params: {
      identityName: applicationIdentity[at].name
      oidcIssuer: oidcIssuer
      kubernetesNamespace: application.kubernetesNamespace
      serviceAccount: application.name
    }
  }
]

module bus 'modules/servicebus.bicep' = {
  params: { name: namespaceName, location: location, sku: serviceBusSku, list: list }
}

module bridgeAccess 'modules/access.bicep' = {
  params: {
    namespaceName: namespaceName
    list: list
    who: 'bridge'
    principalId: bridge.properties.principalId
    // To the results, too: it publishes what functions post to it. Queues are those of targets; what was given up only Service Bus puts there.
    sends: concat(topicNames, filter(queueNames, queue => queue != deadLetters))
    receives: concat(ownSubscriptions, [deadLetters], readDeadLetters ? appSubscriptions : [])
  }
  dependsOn: [bus]
}

module scalerAccess 'modules/keda.bicep' = if (keda) {
  params: { namespaceName: namespaceName, principalId: scaler!.properties.principalId, subscriptions: ownSubscriptions }
  dependsOn: [bus]
}

module appAccess 'modules/access.bicep' = [
  for (app, at) in apps: {
    params: {
      namespaceName: namespaceName
      list: list
      who: app.name
      principalId: appIdentity[at].properties.principalId
      sends: empty(app.receives) ? [] : ['automation-results']
      receives: app.receives
    }
    dependsOn: [bus]
  }
]

module applicationAccess 'modules/access.bicep' = [
  for (application, at) in applications: {
    params: {
      namespaceName: namespaceName
      list: list
      who: application.name
      principalId: applicationIdentity[at].properties.principalId
      sends: application.sends
      receives: application.receives
    }
    dependsOn: [bus]
  }
]

module vault 'modules/keyvault.bicep' = {
  params: { name: vaultName, location: location, readerPrincipalId: bridge.properties.principalId }
}

module redis 'modules/redis.bicep' = if (store == 'redis') {
  params: { name: storeName, location: location, sku: redisSku, principalId: bridge.properties.principalId }
}

module cosmosdb 'modules/cosmosdb.bicep' = if (store == 'cosmosdb') {
  params: { name: storeName, location: location, principalId: bridge.properties.principalId }
}

module monitoring 'modules/monitoring.bicep' = {
  params: { name: name, location: location, namespaceName: namespaceName, alertEmail: alertEmail }
  dependsOn: [bus]
}

module ruleGroups 'modules/rulegroups.bicep' = if (metricsWorkspaceId != '') {
  params: {
    name: name
    location: location
    workspaceId: metricsWorkspaceId
    clusterName: clusterName
    actionGroupId: monitoring.outputs.actionGroupId
  }
}

module functions 'modules/functionapp.bicep' = [
  for (app, at) in apps: {
    params: {
      name: '${name}-${app.name}-${suffix}'
      location: location
      storageName: '${take(name, 8)}${take(uniqueString(resourceGroup().id, app.name), 13)}'
      runtimeName: app.runtime
      runtimeVersion: app.version
      identityName: appIdentity[at].name
      principalId: appIdentity[at].properties.principalId
      serviceBusNamespace: serviceBusHost
      applicationInsightsName: name
      settings: app.settings
      alwaysReady: app.alwaysReady
    }
    dependsOn: [appAccess, monitoring]
  }
]

module functionKeys 'modules/functionkey.bicep' = [
  for app in apps: if (copyFunctionKeys) {
    params: { vaultName: vaultName, appName: '${name}-${app.name}-${suffix}', name: app.name }
    dependsOn: [functions, vault]
  }
]

@description('For the annotation dapr.io/env of the bridge\'s pods.')
output sidecarEnvironment object = union(
  { SERVICEBUS_NAMESPACE: serviceBusHost, KEYVAULT_NAME: vaultName },
  store == 'redis' ? { REDIS_HOST: redis!.outputs.host } : { COSMOSDB_URL: cosmosdb!.outputs.url }
)
@description('For the environment of the bridge: what bus and store cannot carry is refused before it is accepted.')
output bridgeEnvironment object = {
  BRIDGE_MAX_EVENT_BYTES: serviceBusSku == 'Standard' ? '256000' : '1000000'
  BRIDGE_MAX_INPUT_BYTES: serviceBusSku == 'Standard' ? '200000' : store == 'cosmosdb' ? '500000' : '900000'
  BRIDGE_MAX_OUTPUT_BYTES: store == 'cosmosdb' ? '500000' : '1000000'
}
@description('For the annotation azure.workload.identity/client-id of the bridge\'s service account.')
output clientId string = bridge.properties.clientId
@description('For identityId of KEDA\'s TriggerAuthentication.')
output kedaClientId string = keda ? scaler!.properties.clientId : ''
@description('For the annotations of the applications\' service accounts.')
output applicationClientIds array = [
  for (application, at) in applications: {
    name: application.name
    clientId: applicationIdentity[at].properties.clientId
  }
]
@description('For baseUrl in components/azure/endpoints.yaml.')
output functionHosts array = [for (app, at) in apps: { name: app.name, host: functions[at].outputs.host }]
