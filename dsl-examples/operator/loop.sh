#!/bin/sh
# What is stored becomes what runs, round after round. Each step waits for the whole of the one before it: half of the
# documents, or of their objects, would be taken for the wish to delete the other half.
trap 'exit 0' TERM
while :; do
  kubectl get islandtypes.replicator.dev,islandsets.replicator.dev,routings.replicator.dev,partitions.replicator.dev \
    --all-namespaces --output=yaml >stored.yaml &&
    replicator build - <stored.yaml >objects.yaml &&
    KUBECTL_APPLYSET=true kubectl apply --server-side --prune --applyset="$APPLYSET" --filename=objects.yaml
  sleep "$INTERVAL" &
  wait "$!" # a signal ends the sleep at once, and a round never in its middle
done
