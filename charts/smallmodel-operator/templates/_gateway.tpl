{{- define "gateway.name" -}}smallmodel-gateway{{- end -}}

{{- /* Policies of models select gateway pods by their component; it is part of the names that never change. */ -}}
{{- define "gateway.selector" -}}
app.kubernetes.io/name: smallmodel-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: smallmodel
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "gateway.image" -}}
{{- .Values.gateway.image | default (printf "%s/smallmodel-gateway:%s" (include "operator.registry" .) .Chart.AppVersion) -}}
{{- end -}}

{{- define "egress.authorities" -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" (.Values.egress.authorities | default "")) -}}
{{- fail "egress.authorities holds no certificate: give the PEM bundle of those who may say that somebody is a declared host (--set-file egress.authorities=ca.crt). For public APIs it is the bundle of your system, like /etc/ssl/certs/ca-certificates.crt." -}}
{{- end -}}
smallmodel-egress-authorities-{{ .Values.egress.authorities | sha256sum | trunc 8 }}
{{- end -}}

{{- /* Without a limit resourceFieldRef gives what the whole node has, and Envoy's watch over its memory never acts. */ -}}
{{- define "gateway.limited" -}}
{{- $memory := dig "limits" "memory" "" (.Values.gateway.resources.envoy | default dict) -}}
{{- if has (toString $memory) (list "" "0" "<nil>") -}}
{{- fail "gateway.resources.envoy.limits.memory is missing: Envoy refuses requests before it reaches this limit, and without one it would take the memory of its node. Set it, to 1Gi for instance." -}}
{{- end -}}
{{- end -}}

{{- define "gateway.env" -}}
{{- include "gateway.limited" . -}}
- name: SLM_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: SLM_IDENTITY
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: SLM_POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: SLM_GATEWAY_ENVOY_MEMORY
  valueFrom: {resourceFieldRef: {containerName: envoy, resource: limits.memory}}
- name: SLM_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain }}
{{- with .Values.watchNamespaces }}
- name: SLM_WATCH_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.gateway.tls.secretName }}
- name: SLM_GATEWAY_TLS
  value: "true"
{{- end }}
- name: SLM_AUDIT_ON_FAILURE
  value: {{ .Values.audit.onFailure }}
- name: SLM_AUDIT_RETENTION_DAYS
  value: {{ .Values.audit.retentionDays | int | quote }}
- name: SLM_AUDIT_MAX_MEBIBYTES
  value: {{ .Values.audit.maxMebibytes | int | quote }}
- name: SLM_LOG_FORMAT
  value: {{ .Values.logFormat }}
- name: SLM_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end -}}

{{- define "gateway.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: run, mountPath: /run/smallmodel}
- {name: data, mountPath: /var/lib/smallmodel}
{{- end -}}

{{- /* Rights on what belongs to no namespace: to see the boundary, and to say that it is in force. */ -}}
{{- define "gateway.clusterRules" -}}
- apiGroups: [smallmodel.dev]
  resources: [clusterboundaries]
  verbs: [get, list, watch]
- apiGroups: [smallmodel.dev]
  resources: [clusterboundaries/status]
  verbs: [patch]
{{- end -}}

{{- /* Rights on models: to see them and where their pods are, and to wake one (narrowed by the admission policy). */ -}}
{{- define "gateway.modelRules" -}}
- apiGroups: [smallmodel.dev]
  resources: [smallmodels, modelroutes]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch]
# Classifiers that routes name, by their names.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
{{- end -}}

{{/* The Secrets with the keys of subjects, as a list of names. */}}
{{- define "subjectKeys.names" -}}
[{{- range until 16 }}{{ if . }}, {{ end }}smallmodel-subject-keys-{{ . }}{{- end }}]
{{- end }}
