// What one identity may do on the bus: send to single queues and topics, receive from single queues and subscriptions, nothing on the whole
// namespace. A name that is not in the list is refused.
import { namespaceList, subscriptionsOf } from 'entities.bicep'
import { serviceBusDataReceiver, serviceBusDataSender } from 'roles.bicep'

param namespaceName string
param list namespaceList
@description('Whose access it is, for messages.')
param who string
param principalId string
@description('Names of queues and topics.')
param sends string[]
@description('Names of queues, or `topic/subscription`.')
param receives string[]

var queues = map(list.?Queues ?? [], queue => queue.Name)
var topics = map(list.?Topics ?? [], topic => topic.Name)
var sources = concat(queues, map(subscriptionsOf(list), each => each.source))
var unknown = concat(
  filter(sends, name => !contains(concat(queues, topics), name)),
  filter(receives, name => !contains(sources, name))
)
var checked = empty(unknown)
  ? { sends: sends, receives: receives }
  : fail('${who}: ${join(unknown, ', ')} is not in components/servicebus.json; add it there, or correct the parameter.')
var toTopics = filter(checked.sends, name => contains(topics, name))
var toQueues = filter(checked.sends, name => contains(queues, name))
var fromQueues = filter(checked.receives, name => contains(queues, name))
var fromSubscriptions = filter(checked.receives, name => contains(name, '/'))
var sender = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', serviceBusDataSender)
var receiver = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', serviceBusDataReceiver)

resource sentTopic 'Microsoft.ServiceBus/namespaces/topics@2026-01-01' existing = [
  for name in toTopics: {
    name: '${namespaceName}/${name}'
  }
]

resource sentQueue 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' existing = [
  for name in toQueues: {
    name: '${namespaceName}/${name}'
  }
]

resource receivedQueue 'Microsoft.ServiceBus/namespaces/queues@2026-01-01' existing = [
  for name in fromQueues: {
    name: '${namespaceName}/${name}'
  }
]

resource receivedSubscription 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' existing = [
  for source in fromSubscriptions: {
    name: '${namespaceName}/${source}'
  }
]

// The name of an assignment holds the principal's id: an identity that was made again gets one of its own.
resource sendToTopic 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, at) in toTopics: {
    scope: sentTopic[at]
    name: guid(sentTopic[at].id, principalId, sender)
    properties: { roleDefinitionId: sender, principalId: principalId, principalType: 'ServicePrincipal' }
  }
]

resource sendToQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, at) in toQueues: {
    scope: sentQueue[at]
    name: guid(sentQueue[at].id, principalId, sender)
    properties: { roleDefinitionId: sender, principalId: principalId, principalType: 'ServicePrincipal' }
  }
]

resource receiveFromQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (name, at) in fromQueues: {
    scope: receivedQueue[at]
    name: guid(receivedQueue[at].id, principalId, receiver)
    properties: { roleDefinitionId: receiver, principalId: principalId, principalType: 'ServicePrincipal' }
  }
]

resource receiveFromSubscription 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (source, at) in fromSubscriptions: {
    scope: receivedSubscription[at]
    name: guid(receivedSubscription[at].id, principalId, receiver)
    properties: { roleDefinitionId: receiver, principalId: principalId, principalType: 'ServicePrincipal' }
  }
]
