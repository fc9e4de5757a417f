"""Groups of well-known Maven artifacts: for jars that carry no Maven properties, as Gradle and Ant build them.

Facts, collected for this table: the coordinates under which these projects publish. An artifact that several groups
publish under one name stands here only where one of them is what is met in practice.
"""

import re

_ARTIFACTS = {
    "antlr": "antlr",
    "axis": "axis",
    "ch.qos.logback": "logback-access logback-classic logback-core",
    "com.alibaba": "druid fastjson",
    "com.beust": "jcommander",
    "com.fasterxml.jackson.core": "jackson-annotations jackson-core jackson-databind",
    "com.fasterxml.woodstox": "woodstox-core",
    "com.google.code.gson": "gson",
    "com.google.guava": "guava",
    "com.google.inject": "guice",
    "com.google.oauth-client": "google-oauth-client",
    "com.google.protobuf": "protobuf-java protobuf-java-util protobuf-javalite protobuf-kotlin",
    "com.h2database": "h2",
    "com.hazelcast": "hazelcast",
    "com.jayway.jsonpath": "json-path",
    "com.jcraft": "jsch",
    "com.mchange": "c3p0",
    "com.mysql": "mysql-connector-j",
    "com.nimbusds": "nimbus-jose-jwt",
    "com.rabbitmq": "amqp-client",
    "com.squareup.okhttp3": "okhttp",
    "com.squareup.okio": "okio okio-jvm",
    "com.sun.mail": "jakarta.mail javax.mail",
    "com.thoughtworks.xstream": "xstream",
    "com.zaxxer": "HikariCP",
    "commons-beanutils": "commons-beanutils",
    "commons-cli": "commons-cli",
    "commons-codec": "commons-codec",
    "commons-collections": "commons-collections",
    "commons-configuration": "commons-configuration",
    "commons-fileupload": "commons-fileupload",
    "commons-httpclient": "commons-httpclient",
    "commons-io": "commons-io",
    "commons-jxpath": "commons-jxpath",
    "commons-lang": "commons-lang",
    "commons-logging": "commons-logging",
    "commons-net": "commons-net",
    "dom4j": "dom4j",
    "io.micrometer": "micrometer-core",
    "io.perfmark": "perfmark-api",
    "io.projectreactor": "reactor-core",
    "io.projectreactor.netty": "reactor-netty-core reactor-netty-http",
    "io.undertow": "undertow-core undertow-servlet",
    "javax.servlet": "javax.servlet-api jstl servlet-api",
    "joda-time": "joda-time",
    "junit": "junit",
    "log4j": "log4j",
    "mysql": "mysql-connector-java",
    "net.java.dev.jna": "jna jna-platform",
    "net.minidev": "json-smart",
    "net.sourceforge.htmlunit": "htmlunit",
    "org.apache.activemq": "activemq-all activemq-broker activemq-client",
    "org.apache.avro": "avro",
    "org.apache.cassandra": "cassandra-all",
    "org.apache.commons": (
        "commons-collections4 commons-compress commons-configuration2 commons-csv commons-dbcp2 commons-email"
        " commons-fileupload2 commons-imaging commons-jexl3 commons-lang3 commons-math3 commons-pool2 commons-text"
        " commons-vfs2"
    ),
    "org.apache.cxf": "cxf-core",
    "org.apache.derby": "derby",
    "org.apache.httpcomponents": "httpasyncclient httpclient httpcore httpmime",
    "org.apache.httpcomponents.client5": "httpclient5",
    "org.apache.httpcomponents.core5": "httpcore5 httpcore5-h2",
    "org.apache.logging.log4j": (
        "log4j-1.2-api log4j-api log4j-core log4j-jcl log4j-jul log4j-layout-template-json log4j-slf4j-impl"
        " log4j-slf4j2-impl log4j-to-slf4j log4j-web"
    ),
    "org.apache.mina": "mina-core",
    "org.apache.pdfbox": "fontbox pdfbox xmpbox",
    "org.apache.poi": "poi",
    "org.apache.santuario": "xmlsec",
    "org.apache.sshd": "sshd-common sshd-core sshd-sftp",
    "org.apache.thrift": "libthrift",
    "org.apache.tomcat": (
        "tomcat-annotations-api tomcat-api tomcat-catalina tomcat-catalina-ha tomcat-coyote tomcat-dbcp tomcat-jasper"
        " tomcat-jdbc tomcat-juli tomcat-servlet-api tomcat-tribes tomcat-util tomcat-util-scan tomcat-websocket"
    ),
    "org.apache.velocity": "velocity velocity-engine-core",
    "org.apache.xmlgraphics": "fop xmlgraphics-commons",
    "org.apache.zookeeper": "zookeeper zookeeper-jute",
    "org.aspectj": "aspectjrt aspectjweaver",
    "org.checkerframework": "checker-qual",
    "org.codehaus.groovy": "groovy groovy-all",
    "org.codehaus.jackson": "jackson-core-asl jackson-mapper-asl",
    "org.codehaus.jettison": "jettison",
    "org.elasticsearch": "elasticsearch",
    "org.freemarker": "freemarker",
    "org.glassfish": "jakarta.el javax.el",
    "org.hamcrest": "hamcrest hamcrest-core hamcrest-library",
    "org.hibernate": "hibernate-core hibernate-entitymanager hibernate-validator",
    "org.hibernate.common": "hibernate-commons-annotations",
    "org.hsqldb": "hsqldb",
    "org.javassist": "javassist",
    "org.jboss.xnio": "xnio-api xnio-nio",
    "org.jdom": "jdom jdom2",
    "org.json": "json",
    "org.jsoup": "jsoup",
    "org.lz4": "lz4-java",
    "org.mariadb.jdbc": "mariadb-java-client",
    "org.mortbay.jetty": "jetty",
    "org.mozilla": "rhino",
    "org.ow2.asm": "asm",
    "org.postgresql": "postgresql",
    "org.quartz-scheduler": "quartz",
    "org.scala-lang": "scala-compiler scala-library scala-reflect",
    "org.slf4j": "jcl-over-slf4j jul-to-slf4j log4j-over-slf4j",
    "org.springframework.security.oauth": "spring-security-oauth spring-security-oauth2",
    "org.xerial": "sqlite-jdbc",
    "org.xerial.snappy": "snappy-java",
    "org.yaml": "snakeyaml",
    "xalan": "serializer xalan",
    "xerces": "xercesImpl",
    "xml-apis": "xml-apis",
}
_PREFIXES = {
    "activemq-": "org.apache.activemq",
    "akka-": "com.typesafe.akka",
    "artemis-": "org.apache.activemq",
    "asm-": "org.ow2.asm",
    "batik-": "org.apache.xmlgraphics",
    "bcmail-": "org.bouncycastle",
    "bcpg-": "org.bouncycastle",
    "bcpkix-": "org.bouncycastle",
    "bcprov-": "org.bouncycastle",
    "bctls-": "org.bouncycastle",
    "bcutil-": "org.bouncycastle",
    "camel-": "org.apache.camel",
    "cxf-rt-": "org.apache.cxf",
    "elasticsearch-": "org.elasticsearch",
    "flink-": "org.apache.flink",
    "grpc-": "io.grpc",
    "hadoop-": "org.apache.hadoop",
    "hive-": "org.apache.hive",
    "jackson-dataformat-": "com.fasterxml.jackson.dataformat",
    "jackson-datatype-": "com.fasterxml.jackson.datatype",
    "jackson-module-": "com.fasterxml.jackson.module",
    "jetty-": "org.eclipse.jetty",
    "kafka-": "org.apache.kafka",
    "kafka_": "org.apache.kafka",
    "keycloak-": "org.keycloak",
    "kotlin-": "org.jetbrains.kotlin",
    "lucene-": "org.apache.lucene",
    "netty-": "io.netty",
    "plexus-": "org.codehaus.plexus",
    "poi-": "org.apache.poi",
    "resteasy-": "org.jboss.resteasy",
    "shiro-": "org.apache.shiro",
    "slf4j-": "org.slf4j",
    "solr-": "org.apache.solr",
    "spark-core_": "org.apache.spark",
    "spark-sql_": "org.apache.spark",
    "spring-": "org.springframework",
    "spring-batch-": "org.springframework.batch",
    "spring-boot": "org.springframework.boot",
    "spring-cloud-": "org.springframework.cloud",
    "spring-data-": "org.springframework.data",
    "spring-hateoas": "org.springframework.hateoas",
    "spring-integration-": "org.springframework.integration",
    "spring-kafka": "org.springframework.kafka",
    "spring-ldap-": "org.springframework.ldap",
    "spring-plugin-": "org.springframework.plugin",
    "spring-retry": "org.springframework.retry",
    "spring-security-": "org.springframework.security",
    "spring-session-": "org.springframework.session",
    "spring-ws-": "org.springframework.ws",
    "struts2-": "org.apache.struts",
    "tika-": "org.apache.tika",
    "tomcat-embed-": "org.apache.tomcat.embed",
    "vertx-": "io.vertx",
}

_MOVED = {
    "dom4j": (2, "org.dom4j"),
    "groovy": (4, "org.apache.groovy"),
    "groovy-all": (4, "org.apache.groovy"),
    "hibernate-core": (6, "org.hibernate.orm"),
    "hibernate-validator": (6, "org.hibernate.validator"),
}
"""Artifacts that have another group from a major version on."""
_MAJOR = re.compile(r"[0-9]{1,9}")

_GROUPS = {artifact: group for group, artifacts in _ARTIFACTS.items() for artifact in artifacts.split()}


def group_of(artifact: str, version: str = "") -> str:
    """The group that publishes this version of the artifact; empty where it is not known."""
    moved, major = _MOVED.get(artifact), _MAJOR.match(version)
    if moved and major and int(major[0]) >= moved[0]:
        return moved[1]
    known = _GROUPS.get(artifact)
    if known:
        return known
    prefixes = [prefix for prefix in _PREFIXES if artifact.startswith(prefix)]
    return _PREFIXES[max(prefixes, key=len)] if prefixes else ""
