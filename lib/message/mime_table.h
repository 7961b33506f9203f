/* Made by tools/update-mime-types of Debian's media-types: change that one. */

static const char mime_names[] =
    "application/A2L\0"
    "application/AML\0"
    "application/ATF\0"
    "application/ATFX\0"
    "application/ATXML\0"
    "application/CDFX+XML\0"
    "application/CEA\0"
    "application/DCD\0"
    "application/DII\0"
    "application/DIT\0"
    "application/LXF\0"
    "application/MF4\0"
    "application/ODA\0"
    "application/ODX\0"
    "application/PDX\0"
    "application/andrew-inset\0"
    "application/annodex\0"
    "application/atom+xml\0"
    "application/atomcat+xml\0"
    "application/atomdeleted+xml\0"
    "application/atomserv+xml\0"
    "application/atomsvc+xml\0"
    "application/atsc-dwd+xml\0"
    "application/atsc-held+xml\0"
    "application/atsc-rsat+xml\0"
    "application/auth-policy+xml\0"
    "application/automationml-amlx+zip\0"
    "application/bacnet-xdd+zip\0"
    "application/bbolin\0"
    "application/calendar+xml\0"
    "application/cbor\0"
    "application/cccex\0"
    "application/ccmp+xml\0"
    "application/ccxml+xml\0"
    "application/cdmi-capability\0"
    "application/cdmi-container\0"
    "application/cdmi-domain\0"
    "application/cdmi-object\0"
    "application/cdmi-queue\0"
    "application/cellml+xml\0"
    "application/clr\0"
    "application/clue_info+xml\0"
    "application/cms\0"
    "application/cpl+xml\0"
    "application/csrattrs\0"
    "application/cu-seeme\0"
    "application/cwl\0"
    "application/dash+xml\0"
    "application/dashdelta\0"
    "application/davmount+xml\0"
    "application/dicom\0"
    "application/dskpp+xml\0"
    "application/dsptype\0"
    "application/dssc+der\0"
    "application/dssc+xml\0"
    "application/dvcs\0"
    "application/efi\0"
    "application/emma+xml\0"
    "application/emotionml+xml\0"
    "application/epub+zip\0"
    "application/exi\0"
    "application/express\0"
    "application/fastinfoset\0"
    "application/fdf\0"
    "application/fdt+xml\0"
    "application/font-tdpfr\0"
    "application/futuresplash\0"
    "application/geo+json\0"
    "application/geopackage+sqlite3\0"
    "application/gltf-buffer\0"
    "application/gml+xml\0"
    "application/gpx+xml\0"
    "application/gzip\0"
    "application/hta\0"
    "application/hyperstudio\0"
    "application/inkml+xml\0"
    "application/ipfix\0"
    "application/its+xml\0"
    "application/java-archive\0"
    "application/java-serialized-object\0"
    "application/java-vm\0"
    "application/jrd+json\0"
    "application/json\0"
    "application/json-patch+json\0"
    "application/ld+json\0"
    "application/lgr+xml\0"
    "application/link-format\0"
    "application/lost+xml\0"
    "application/lostsync+xml\0"
    "application/lpf+zip\0"
    "application/m3g\0"
    "application/mac-binhex40\0"
    "application/mac-compactpro\0"
    "application/mads+xml\0"
    "application/manifest+json\0"
    "application/marc\0"
    "application/marcxml+xml\0"
    "application/mathematica\0"
    "application/mathml+xml\0"
    "application/mbox\0"
    "application/metalink4+xml\0"
    "application/mets+xml\0"
    "application/mmt-aei+xml\0"
    "application/mmt-usd+xml\0"
    "application/mods+xml\0"
    "application/mp21\0"
    "application/msaccess\0"
    "application/msword\0"
    "application/mxf\0"
    "application/n-quads\0"
    "application/n-triples\0"
    "application/ocsp-request\0"
    "application/ocsp-response\0"
    "application/octet-stream\0"
    "application/oebps-package+xml\0"
    "application/ogg\0"
    "application/onenote\0"
    "application/oxps\0"
    "application/p21\0"
    "application/p2p-overlay+xml\0"
    "application/pdf\0"
    "application/pgp-encrypted\0"
    "application/pgp-keys\0"
    "application/pgp-signature\0"
    "application/pics-rules\0"
    "application/pkcs10\0"
    "application/pkcs7-mime\0"
    "application/pkcs7-signature\0"
    "application/pkcs8\0"
    "application/pkcs8-encrypted\0"
    "application/pkix-attr-cert\0"
    "application/pkix-cert\0"
    "application/pkix-crl\0"
    "application/pkix-pkipath\0"
    "application/pkixcmp\0"
    "application/postscript\0"
    "application/provenance+xml\0"
    "application/prs.cww\0"
    "application/prs.hpub+zip\0"
    "application/prs.nprend\0"
    "application/prs.rdf-xml-crypt\0"
    "application/prs.xsf+xml\0"
    "application/pskc+xml\0"
    "application/rdf+xml\0"
    "application/reginfo+xml\0"
    "application/relax-ng-compact-syntax\0"
    "application/resource-lists+xml\0"
    "application/resource-lists-diff+xml\0"
    "application/rfc+xml\0"
    "application/rls-services+xml\0"
    "application/route-apd+xml\0"
    "application/route-s-tsid+xml\0"
    "application/route-usd+xml\0"
    "application/rpki-ghostbusters\0"
    "application/rpki-manifest\0"
    "application/rpki-roa\0"
    "application/rss+xml\0"
    "application/rtf\0"
    "application/sarif+json\0"
    "application/scim+json\0"
    "application/scvp-cv-request\0"
    "application/scvp-cv-response\0"
    "application/scvp-vp-request\0"
    "application/scvp-vp-response\0"
    "application/sdp\0"
    "application/senml+cbor\0"
    "application/senml+json\0"
    "application/senml+xml\0"
    "application/senml-etch+cbor\0"
    "application/senml-etch+json\0"
    "application/senml-exi\0"
    "application/sensml+cbor\0"
    "application/sensml+json\0"
    "application/sensml+xml\0"
    "application/sensml-exi\0"
    "application/sgml-open-catalog\0"
    "application/shf+xml\0"
    "application/sieve\0"
    "application/simple-filter+xml\0"
    "application/smil+xml\0"
    "application/sparql-query\0"
    "application/sparql-results+xml\0"
    "application/sql\0"
    "application/srgs\0"
    "application/srgs+xml\0"
    "application/sru+xml\0"
    "application/ssml+xml\0"
    "application/stix+json\0"
    "application/swid+cbor\0"
    "application/swid+xml\0"
    "application/tamp-apex-update\0"
    "application/tamp-apex-update-confirm\0"
    "application/tamp-community-update\0"
    "application/tamp-community-update-confirm\0"
    "application/tamp-error\0"
    "application/tamp-sequence-adjust\0"
    "application/tamp-sequence-adjust-confirm\0"
    "application/tamp-update\0"
    "application/tamp-update-confirm\0"
    "application/td+json\0"
    "application/tei+xml\0"
    "application/thraud+xml\0"
    "application/timestamp-query\0"
    "application/timestamp-reply\0"
    "application/timestamped-data\0"
    "application/tm+json\0"
    "application/toml\0"
    "application/trig\0"
    "application/ttml+xml\0"
    "application/urc-grpsheet+xml\0"
    "application/urc-ressheet+xml\0"
    "application/urc-targetdesc+xml\0"
    "application/urc-uisocketdesc+xml\0"
    "application/vnd.1000minds.decision-model+xml\0"
    "application/vnd.3M.Post-it-Notes\0"
    "application/vnd.3gpp.pic-bw-large\0"
    "application/vnd.3gpp.pic-bw-small\0"
    "application/vnd.3gpp.pic-bw-var\0"
    "application/vnd.3gpp2.sms\0"
    "application/vnd.3gpp2.tcap\0"
    "application/vnd.3lightssoftware.imagescal\0"
    "application/vnd.FloGraphIt\0"
    "application/vnd.HandHeld-Entertainment+xml\0"
    "application/vnd.Kinar\0"
    "application/vnd.MFER\0"
    "application/vnd.Mobius.DAF\0"
    "application/vnd.Mobius.DIS\0"
    "application/vnd.Mobius.MBK\0"
    "application/vnd.Mobius.MQY\0"
    "application/vnd.Mobius.MSL\0"
    "application/vnd.Mobius.PLC\0"
    "application/vnd.Mobius.TXF\0"
    "application/vnd.Quark.QuarkXPress\0"
    "application/vnd.SimTech-MindMapper\0"
    "application/vnd.accpac.simply.aso\0"
    "application/vnd.accpac.simply.imp\0"
    "application/vnd.acucobol\0"
    "application/vnd.acucorp\0"
    "application/vnd.adobe.flash.movie\0"
    "application/vnd.adobe.formscentral.fcdt\0"
    "application/vnd.adobe.fxp\0"
    "application/vnd.adobe.xdp+xml\0"
    "application/vnd.afpc.modca\0"
    "application/vnd.afpc.modca-overlay\0"
    "application/vnd.afpc.modca-pagesegment\0"
    "application/vnd.age\0"
    "application/vnd.ahead.space\0"
    "application/vnd.airzip.filesecure.azf\0"
    "application/vnd.airzip.filesecure.azs\0"
    "application/vnd.amazon.mobi8-ebook\0"
    "application/vnd.americandynamics.acc\0"
    "application/vnd.amiga.ami\0"
    "application/vnd.android.ota\0"
    "application/vnd.android.package-archive\0"
    "application/vnd.anki\0"
    "application/vnd.anser-web-certificate-issue-initiation\0"
    "application/vnd.anser-web-funds-transfer-initiation\0"
    "application/vnd.apache.arrow.file\0"
    "application/vnd.apache.arrow.stream\0"
    "application/vnd.apexlang\0"
    "application/vnd.apple.installer+xml\0"
    "application/vnd.apple.keynote\0"
    "application/vnd.apple.mpegurl\0"
    "application/vnd.apple.numbers\0"
    "application/vnd.apple.pages\0"
    "application/vnd.apple.pkpass\0"
    "application/vnd.aristanetworks.swi\0"
    "application/vnd.artisan+json\0"
    "application/vnd.astraea-software.iota\0"
    "application/vnd.audiograph\0"
    "application/vnd.autopackage\0"
    "application/vnd.balsamiq.bmml+xml\0"
    "application/vnd.balsamiq.bmpr\0"
    "application/vnd.banana-accounting\0"
    "application/vnd.belightsoft.lhzd+zip\0"
    "application/vnd.belightsoft.lhzl+zip\0"
    "application/vnd.blueice.multipass\0"
    "application/vnd.bluetooth.ep.oob\0"
    "application/vnd.bluetooth.le.oob\0"
    "application/vnd.bmi\0"
    "application/vnd.businessobjects\0"
    "application/vnd.cendio.thinlinc.clientconf\0"
    "application/vnd.chemdraw+xml\0"
    "application/vnd.chess-pgn\0"
    "application/vnd.chipnuts.karaoke-mmd\0"
    "application/vnd.cinderella\0"
    "application/vnd.citationstyles.style+xml\0"
    "application/vnd.claymore\0"
    "application/vnd.cloanto.rp9\0"
    "application/vnd.clonk.c4group\0"
    "application/vnd.cluetrust.cartomobile-config\0"
    "application/vnd.cluetrust.cartomobile-config-pkg\0"
    "application/vnd.coffeescript\0"
    "application/vnd.collabio.xodocuments.document\0"
    "application/vnd.collabio.xodocuments.document-template\0"
    "application/vnd.collabio.xodocuments.presentation\0"
    "application/vnd.collabio.xodocuments.presentation-template\0"
    "application/vnd.collabio.xodocuments.spreadsheet\0"
    "application/vnd.collabio.xodocuments.spreadsheet-template\0"
    "application/vnd.comicbook+zip\0"
    "application/vnd.comicbook-rar\0"
    "application/vnd.commerce-battelle\0"
    "application/vnd.commonspace\0"
    "application/vnd.contact.cmsg\0"
    "application/vnd.coreos.ignition+json\0"
    "application/vnd.cosmocaller\0"
    "application/vnd.crick.clicker\0"
    "application/vnd.crick.clicker.keyboard\0"
    "application/vnd.crick.clicker.palette\0"
    "application/vnd.crick.clicker.template\0"
    "application/vnd.crick.clicker.wordbank\0"
    "application/vnd.criticaltools.wbs+xml\0"
    "application/vnd.crypto-shade-file\0"
    "application/vnd.cryptomator.encrypted\0"
    "application/vnd.cryptomator.vault\0"
    "application/vnd.ctc-posml\0"
    "application/vnd.cups-ppd\0"
    "application/vnd.dart\0"
    "application/vnd.data-vision.rdz\0"
    "application/vnd.datalog\0"
    "application/vnd.dbf\0"
    "application/vnd.debian.binary-package\0"
    "application/vnd.dece.data\0"
    "application/vnd.dece.ttml+xml\0"
    "application/vnd.dece.unspecified\0"
    "application/vnd.dece.zip\0"
    "application/vnd.denovo.fcselayout-link\0"
    "application/vnd.desmume.movie\0"
    "application/vnd.dna\0"
    "application/vnd.document+json\0"
    "application/vnd.doremir.scorecloud-binary-document\0"
    "application/vnd.dpgraph\0"
    "application/vnd.dreamfactory\0"
    "application/vnd.dtg.local.flash\0"
    "application/vnd.dvb.ait\0"
    "application/vnd.dvb.service\0"
    "application/vnd.dynageo\0"
    "application/vnd.dzr\0"
    "application/vnd.ecowin.chart\0"
    "application/vnd.eln+zip\0"
    "application/vnd.enliven\0"
    "application/vnd.epson.esf\0"
    "application/vnd.epson.msf\0"
    "application/vnd.epson.quickanime\0"
    "application/vnd.epson.salt\0"
    "application/vnd.epson.ssf\0"
    "application/vnd.ericsson.quickcall\0"
    "application/vnd.espass-espass+zip\0"
    "application/vnd.eszigno3+xml\0"
    "application/vnd.etsi.asic-e+zip\0"
    "application/vnd.etsi.asic-s+zip\0"
    "application/vnd.etsi.timestamp-token\0"
    "application/vnd.eu.kasparian.car+json\0"
    "application/vnd.evolv.ecig.profile\0"
    "application/vnd.evolv.ecig.settings\0"
    "application/vnd.evolv.ecig.theme\0"
    "application/vnd.exstream-empower+zip\0"
    "application/vnd.ezpix-album\0"
    "application/vnd.ezpix-package\0"
    "application/vnd.familysearch.gedcom+zip\0"
    "application/vnd.fastcopy-disk-image\0"
    "application/vnd.fdsn.mseed\0"
    "application/vnd.fdsn.seed\0"
    "application/vnd.ficlab.flb+zip\0"
    "application/vnd.filmit.zfc\0"
    "application/vnd.fluxtime.clip\0"
    "application/vnd.font-fontforge-sfd\0"
    "application/vnd.framemaker\0"
    "application/vnd.fsc.weblaunch\0"
    "application/vnd.fujitsu.oasys\0"
    "application/vnd.fujitsu.oasys2\0"
    "application/vnd.fujitsu.oasys3\0"
    "application/vnd.fujitsu.oasysgp\0"
    "application/vnd.fujitsu.oasysprs\0"
    "application/vnd.fujixerox.ddd\0"
    "application/vnd.fujixerox.docuworks\0"
    "application/vnd.fujixerox.docuworks.binder\0"
    "application/vnd.fujixerox.docuworks.container\0"
    "application/vnd.fuzzysheet\0"
    "application/vnd.genomatix.tuxedo\0"
    "application/vnd.genozip\0"
    "application/vnd.gentics.grd+json\0"
    "application/vnd.gentoo.ebuild\0"
    "application/vnd.gentoo.eclass\0"
    "application/vnd.gentoo.xpak\0"
    "application/vnd.geogebra.file\0"
    "application/vnd.geogebra.slides\0"
    "application/vnd.geogebra.tool\0"
    "application/vnd.geometry-explorer\0"
    "application/vnd.geonext\0"
    "application/vnd.geoplan\0"
    "application/vnd.geospace\0"
    "application/vnd.google-earth.kml+xml\0"
    "application/vnd.google-earth.kmz\0"
    "application/vnd.grafeq\0"
    "application/vnd.groove-account\0"
    "application/vnd.groove-help\0"
    "application/vnd.groove-identity-message\0"
    "application/vnd.groove-injector\0"
    "application/vnd.groove-tool-message\0"
    "application/vnd.groove-tool-template\0"
    "application/vnd.groove-vcard\0"
    "application/vnd.hal+xml\0"
    "application/vnd.hbci\0"
    "application/vnd.hdt\0"
    "application/vnd.hhe.lesson-player\0"
    "application/vnd.hp-HPGL\0"
    "application/vnd.hp-PCL\0"
    "application/vnd.hp-hpid\0"
    "application/vnd.hp-hps\0"
    "application/vnd.hp-jlyt\0"
    "application/vnd.hydrostatix.sof-data\0"
    "application/vnd.ibm.MiniPay\0"
    "application/vnd.ibm.electronic-media\0"
    "application/vnd.ibm.rights-management\0"
    "application/vnd.ibm.secure-container\0"
    "application/vnd.iccprofile\0"
    "application/vnd.igloader\0"
    "application/vnd.imagemeter.folder+zip\0"
    "application/vnd.imagemeter.image+zip\0"
    "application/vnd.immervision-ivp\0"
    "application/vnd.immervision-ivu\0"
    "application/vnd.ims.imsccv1p1\0"
    "application/vnd.insors.igm\0"
    "application/vnd.intercon.formnet\0"
    "application/vnd.intergeo\0"
    "application/vnd.intu.qbo\0"
    "application/vnd.intu.qfx\0"
    "application/vnd.ipld.car\0"
    "application/vnd.ipunplugged.rcprofile\0"
    "application/vnd.irepository.package+xml\0"
    "application/vnd.is-xpr\0"
    "application/vnd.isac.fcs\0"
    "application/vnd.jam\0"
    "application/vnd.jcp.javame.midlet-rms\0"
    "application/vnd.jisp\0"
    "application/vnd.joost.joda-archive\0"
    "application/vnd.kahootz\0"
    "application/vnd.kde.karbon\0"
    "application/vnd.kde.kchart\0"
    "application/vnd.kde.kformula\0"
    "application/vnd.kde.kivio\0"
    "application/vnd.kde.kontour\0"
    "application/vnd.kde.kpresenter\0"
    "application/vnd.kde.kspread\0"
    "application/vnd.kde.kword\0"
    "application/vnd.kenameaapp\0"
    "application/vnd.kidspiration\0"
    "application/vnd.koan\0"
    "application/vnd.kodak-descriptor\0"
    "application/vnd.las\0"
    "application/vnd.las.las+json\0"
    "application/vnd.las.las+xml\0"
    "application/vnd.llamagraphics.life-balance.desktop\0"
    "application/vnd.llamagraphics.life-balance.exchange+xml\0"
    "application/vnd.logipipe.circuit+zip\0"
    "application/vnd.loom\0"
    "application/vnd.lotus-1-2-3\0"
    "application/vnd.lotus-approach\0"
    "application/vnd.lotus-freelance\0"
    "application/vnd.lotus-notes\0"
    "application/vnd.lotus-organizer\0"
    "application/vnd.lotus-screencam\0"
    "application/vnd.lotus-wordpro\0"
    "application/vnd.macports.portpkg\0"
    "application/vnd.mapbox-vector-tile\0"
    "application/vnd.marlin.drm.mdcf\0"
    "application/vnd.maxar.archive.3tz+zip\0"
    "application/vnd.maxmind.maxmind-db\0"
    "application/vnd.mcd\0"
    "application/vnd.medcalcdata\0"
    "application/vnd.mediastation.cdkey\0"
    "application/vnd.medicalholodeck.recordxr\0"
    "application/vnd.mfmp\0"
    "application/vnd.micrografx.flo\0"
    "application/vnd.micrografx.igx\0"
    "application/vnd.microsoft.portable-executable\0"
    "application/vnd.mif\0"
    "application/vnd.mophun.application\0"
    "application/vnd.mophun.certificate\0"
    "application/vnd.mozilla.xul+xml\0"
    "application/vnd.ms-3mfdocument\0"
    "application/vnd.ms-artgalry\0"
    "application/vnd.ms-asf\0"
    "application/vnd.ms-cab-compressed\0"
    "application/vnd.ms-excel\0"
    "application/vnd.ms-excel.addin.macroEnabled.12\0"
    "application/vnd.ms-excel.sheet.binary.macroEnabled.12\0"
    "application/vnd.ms-excel.sheet.macroEnabled.12\0"
    "application/vnd.ms-excel.template.macroEnabled.12\0"
    "application/vnd.ms-fontobject\0"
    "application/vnd.ms-htmlhelp\0"
    "application/vnd.ms-ims\0"
    "application/vnd.ms-lrm\0"
    "application/vnd.ms-officetheme\0"
    "application/vnd.ms-outlook\0"
    "application/vnd.ms-pki.seccat\0"
    "application/vnd.ms-powerpoint\0"
    "application/vnd.ms-powerpoint.addin.macroEnabled.12\0"
    "application/vnd.ms-powerpoint.presentation.macroEnabled.12\0"
    "application/vnd.ms-powerpoint.slide.macroEnabled.12\0"
    "application/vnd.ms-powerpoint.slideshow.macroEnabled.12\0"
    "application/vnd.ms-powerpoint.template.macroEnabled.12\0"
    "application/vnd.ms-project\0"
    "application/vnd.ms-publisher\0"
    "application/vnd.ms-tnef\0"
    "application/vnd.ms-visio.drawing\0"
    "application/vnd.ms-word.document.macroEnabled.12\0"
    "application/vnd.ms-word.template.macroEnabled.12\0"
    "application/vnd.ms-works\0"
    "application/vnd.ms-wpl\0"
    "application/vnd.ms-xpsdocument\0"
    "application/vnd.msa-disk-image\0"
    "application/vnd.mseq\0"
    "application/vnd.multiad.creator\0"
    "application/vnd.multiad.creator.cif\0"
    "application/vnd.musician\0"
    "application/vnd.muvee.style\0"
    "application/vnd.mynfc\0"
    "application/vnd.nebumind.line\0"
    "application/vnd.nervana\0"
    "application/vnd.neurolanguage.nlu\0"
    "application/vnd.nimn\0"
    "application/vnd.nintendo.nitro.rom\0"
    "application/vnd.nintendo.snes.rom\0"
    "application/vnd.nitf\0"
    "application/vnd.noblenet-directory\0"
    "application/vnd.noblenet-sealer\0"
    "application/vnd.noblenet-web\0"
    "application/vnd.nokia.n-gage.data\0"
    "application/vnd.nokia.radio-preset\0"
    "application/vnd.nokia.radio-presets\0"
    "application/vnd.novadigm.EDM\0"
    "application/vnd.novadigm.EDX\0"
    "application/vnd.novadigm.EXT\0"
    "application/vnd.oasis.opendocument.base\0"
    "application/vnd.oasis.opendocument.chart\0"
    "application/vnd.oasis.opendocument.chart-template\0"
    "application/vnd.oasis.opendocument.formula\0"
    "application/vnd.oasis.opendocument.graphics\0"
    "application/vnd.oasis.opendocument.graphics-template\0"
    "application/vnd.oasis.opendocument.image\0"
    "application/vnd.oasis.opendocument.image-template\0"
    "application/vnd.oasis.opendocument.presentation\0"
    "application/vnd.oasis.opendocument.presentation-template\0"
    "application/vnd.oasis.opendocument.spreadsheet\0"
    "application/vnd.oasis.opendocument.spreadsheet-template\0"
    "application/vnd.oasis.opendocument.text\0"
    "application/vnd.oasis.opendocument.text-master\0"
    "application/vnd.oasis.opendocument.text-template\0"
    "application/vnd.oasis.opendocument.text-web\0"
    "application/vnd.olpc-sugar\0"
    "application/vnd.oma.dd2+xml\0"
    "application/vnd.onepager\0"
    "application/vnd.onepagertamp\0"
    "application/vnd.onepagertamx\0"
    "application/vnd.onepagertat\0"
    "application/vnd.onepagertatp\0"
    "application/vnd.onepagertatx\0"
    "application/vnd.openblox.game+xml\0"
    "application/vnd.openblox.game-binary\0"
    "application/vnd.openeye.oeb\0"
    "application/vnd.openofficeorg.extension\0"
    "application/vnd.openstreetmap.data+xml\0"
    "application/vnd.openxmlformats-officedocument.presentationml.presentation\0"
    "application/vnd.openxmlformats-officedocument.presentationml.slide\0"
    "application/vnd.openxmlformats-officedocument.presentationml.slideshow\0"
    "application/vnd.openxmlformats-officedocument.presentationml.template\0"
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\0"
    "application/vnd.openxmlformats-officedocument.spreadsheetml.template\0"
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document\0"
    "application/vnd.openxmlformats-officedocument.wordprocessingml.template\0"
    "application/vnd.osa.netdeploy\0"
    "application/vnd.osgeo.mapguide.package\0"
    "application/vnd.osgi.dp\0"
    "application/vnd.osgi.subsystem\0"
    "application/vnd.oxli.countgraph\0"
    "application/vnd.palm\0"
    "application/vnd.panoply\0"
    "application/vnd.patentdive\0"
    "application/vnd.pawaafile\0"
    "application/vnd.pg.format\0"
    "application/vnd.pg.osasli\0"
    "application/vnd.piaccess.application-licence\0"
    "application/vnd.picsel\0"
    "application/vnd.pmi.widget\0"
    "application/vnd.pocketlearn\0"
    "application/vnd.powerbuilder6\0"
    "application/vnd.preminet\0"
    "application/vnd.previewsystems.box\0"
    "application/vnd.proteus.magazine\0"
    "application/vnd.psfs\0"
    "application/vnd.publishare-delta-tree\0"
    "application/vnd.pvi.ptid1\0"
    "application/vnd.qualcomm.brew-app-res\0"
    "application/vnd.quobject-quoxdocument\0"
    "application/vnd.rainstor.data\0"
    "application/vnd.rar\0"
    "application/vnd.realvnc.bed\0"
    "application/vnd.recordare.musicxml\0"
    "application/vnd.resilient.logic\0"
    "application/vnd.rig.cryptonote\0"
    "application/vnd.rim.cod\0"
    "application/vnd.route66.link66+xml\0"
    "application/vnd.sailingtracker.track\0"
    "application/vnd.sar\0"
    "application/vnd.scribus\0"
    "application/vnd.sealed.3df\0"
    "application/vnd.sealed.csf\0"
    "application/vnd.sealed.doc\0"
    "application/vnd.sealed.eml\0"
    "application/vnd.sealed.mht\0"
    "application/vnd.sealed.ppt\0"
    "application/vnd.sealed.tiff\0"
    "application/vnd.sealed.xls\0"
    "application/vnd.sealedmedia.softseal.html\0"
    "application/vnd.sealedmedia.softseal.pdf\0"
    "application/vnd.seemail\0"
    "application/vnd.sema\0"
    "application/vnd.semd\0"
    "application/vnd.semf\0"
    "application/vnd.shade-save-file\0"
    "application/vnd.shana.informed.formdata\0"
    "application/vnd.shana.informed.formtemplate\0"
    "application/vnd.shana.informed.interchange\0"
    "application/vnd.shana.informed.package\0"
    "application/vnd.shp\0"
    "application/vnd.shx\0"
    "application/vnd.sigrok.session\0"
    "application/vnd.smaf\0"
    "application/vnd.smart.notebook\0"
    "application/vnd.smart.teacher\0"
    "application/vnd.snesdev-page-table\0"
    "application/vnd.software602.filler.form+xml\0"
    "application/vnd.software602.filler.form-xml-zip\0"
    "application/vnd.solent.sdkm+xml\0"
    "application/vnd.spotfire.dxp\0"
    "application/vnd.spotfire.sfs\0"
    "application/vnd.sqlite3\0"
    "application/vnd.stardivision.calc\0"
    "application/vnd.stardivision.chart\0"
    "application/vnd.stardivision.draw\0"
    "application/vnd.stardivision.impress\0"
    "application/vnd.stardivision.math\0"
    "application/vnd.stardivision.writer\0"
    "application/vnd.stardivision.writer-global\0"
    "application/vnd.stepmania.package\0"
    "application/vnd.stepmania.stepchart\0"
    "application/vnd.sun.wadl+xml\0"
    "application/vnd.sun.xml.calc\0"
    "application/vnd.sun.xml.calc.template\0"
    "application/vnd.sun.xml.draw\0"
    "application/vnd.sun.xml.draw.template\0"
    "application/vnd.sun.xml.impress\0"
    "application/vnd.sun.xml.impress.template\0"
    "application/vnd.sun.xml.math\0"
    "application/vnd.sun.xml.writer\0"
    "application/vnd.sun.xml.writer.global\0"
    "application/vnd.sun.xml.writer.template\0"
    "application/vnd.sus-calendar\0"
    "application/vnd.sybyl.mol2\0"
    "application/vnd.sycle+xml\0"
    "application/vnd.symbian.install\0"
    "application/vnd.syncml+xml\0"
    "application/vnd.syncml.dm+wbxml\0"
    "application/vnd.syncml.dm+xml\0"
    "application/vnd.syncml.dmddf+xml\0"
    "application/vnd.tao.intent-module-archive\0"
    "application/vnd.tcpdump.pcap\0"
    "application/vnd.theqvd\0"
    "application/vnd.think-cell.ppttc+json\0"
    "application/vnd.tml\0"
    "application/vnd.tmobile-livetv\0"
    "application/vnd.trid.tpt\0"
    "application/vnd.triscape.mxs\0"
    "application/vnd.trueapp\0"
    "application/vnd.ufdl\0"
    "application/vnd.uiq.theme\0"
    "application/vnd.umajin\0"
    "application/vnd.unity\0"
    "application/vnd.uoml+xml\0"
    "application/vnd.uri-map\0"
    "application/vnd.valve.source.material\0"
    "application/vnd.vcx\0"
    "application/vnd.vd-study\0"
    "application/vnd.vectorworks\0"
    "application/vnd.veritone.aion+json\0"
    "application/vnd.veryant.thin\0"
    "application/vnd.ves.encrypted\0"
    "application/vnd.vidsoft.vidconference\0"
    "application/vnd.visio\0"
    "application/vnd.visionary\0"
    "application/vnd.vsf\0"
    "application/vnd.wap.sic\0"
    "application/vnd.wap.slc\0"
    "application/vnd.wap.wbxml\0"
    "application/vnd.wap.wmlc\0"
    "application/vnd.wap.wmlscriptc\0"
    "application/vnd.wasmflow.wafl\0"
    "application/vnd.webturbo\0"
    "application/vnd.wfa.p2p\0"
    "application/vnd.wfa.wsc\0"
    "application/vnd.wmc\0"
    "application/vnd.wolfram.mathematica\0"
    "application/vnd.wolfram.mathematica.package\0"
    "application/vnd.wolfram.player\0"
    "application/vnd.wordperfect\0"
    "application/vnd.wqd\0"
    "application/vnd.wt.stf\0"
    "application/vnd.wv.csp+wbxml\0"
    "application/vnd.xara\0"
    "application/vnd.xfdl\0"
    "application/vnd.xmpie.cpkg\0"
    "application/vnd.xmpie.dpkg\0"
    "application/vnd.xmpie.ppkg\0"
    "application/vnd.xmpie.xlim\0"
    "application/vnd.yamaha.hv-dic\0"
    "application/vnd.yamaha.hv-script\0"
    "application/vnd.yamaha.hv-voice\0"
    "application/vnd.yamaha.openscoreformat\0"
    "application/vnd.yamaha.smaf-audio\0"
    "application/vnd.yamaha.smaf-phrase\0"
    "application/vnd.yaoweme\0"
    "application/vnd.yellowriver-custom-menu\0"
    "application/vnd.zul\0"
    "application/vnd.zzazz.deck+xml\0"
    "application/voicexml+xml\0"
    "application/voucher-cms+json\0"
    "application/wasm\0"
    "application/watcherinfo+xml\0"
    "application/widget\0"
    "application/wsdl+xml\0"
    "application/wspolicy+xml\0"
    "application/x-123\0"
    "application/x-7z-compressed\0"
    "application/x-abiword\0"
    "application/x-apple-diskimage\0"
    "application/x-bcpio\0"
    "application/x-bittorrent\0"
    "application/x-bzip2\0"
    "application/x-cdf\0"
    "application/x-cdlink\0"
    "application/x-comsol\0"
    "application/x-cpio\0"
    "application/x-csh\0"
    "application/x-director\0"
    "application/x-doom\0"
    "application/x-dvi\0"
    "application/x-font\0"
    "application/x-font-pcf\0"
    "application/x-freemind\0"
    "application/x-ganttproject\0"
    "application/x-gnumeric\0"
    "application/x-go-sgf\0"
    "application/x-graphing-calculator\0"
    "application/x-gtar\0"
    "application/x-gtar-compressed\0"
    "application/x-hdf\0"
    "application/x-httpd-php\0"
    "application/x-hwp\0"
    "application/x-ica\0"
    "application/x-info\0"
    "application/x-internet-signup\0"
    "application/x-iphone\0"
    "application/x-iso9660-image\0"
    "application/x-java-jnlp-file\0"
    "application/x-jmol\0"
    "application/x-killustrator\0"
    "application/x-latex\0"
    "application/x-lha\0"
    "application/x-lyx\0"
    "application/x-lzh\0"
    "application/x-lzx\0"
    "application/x-maker\0"
    "application/x-ms-wmd\0"
    "application/x-ms-wmz\0"
    "application/x-msdos-program\0"
    "application/x-msi\0"
    "application/x-netcdf\0"
    "application/x-ns-proxy-autoconfig\0"
    "application/x-nwc\0"
    "application/x-object\0"
    "application/x-oz-application\0"
    "application/x-pem-file\0"
    "application/x-pkcs12\0"
    "application/x-pkcs7-certificates\0"
    "application/x-pkcs7-certreqresp\0"
    "application/x-python-code\0"
    "application/x-qgis\0"
    "application/x-quicktimeplayer\0"
    "application/x-rdp\0"
    "application/x-redhat-package-manager\0"
    "application/x-ruby\0"
    "application/x-scilab\0"
    "application/x-scilab-xcos\0"
    "application/x-sh\0"
    "application/x-shar\0"
    "application/x-silverlight\0"
    "application/x-stuffit\0"
    "application/x-sv4cpio\0"
    "application/x-sv4crc\0"
    "application/x-tar\0"
    "application/x-tcl\0"
    "application/x-tex-gf\0"
    "application/x-tex-pk\0"
    "application/x-texinfo\0"
    "application/x-trash\0"
    "application/x-troff-man\0"
    "application/x-troff-me\0"
    "application/x-troff-ms\0"
    "application/x-ustar\0"
    "application/x-wais-source\0"
    "application/x-wingz\0"
    "application/x-x509-ca-cert\0"
    "application/x-xfig\0"
    "application/x-xpinstall\0"
    "application/x-xz\0"
    "application/xcap-att+xml\0"
    "application/xcap-caps+xml\0"
    "application/xcap-diff+xml\0"
    "application/xcap-el+xml\0"
    "application/xcap-error+xml\0"
    "application/xcap-ns+xml\0"
    "application/xfdf\0"
    "application/xhtml+xml\0"
    "application/xliff+xml\0"
    "application/xml\0"
    "application/xml-dtd\0"
    "application/xml-external-parsed-entity\0"
    "application/xop+xml\0"
    "application/xslt+xml\0"
    "application/xspf+xml\0"
    "application/xv+xml\0"
    "application/yaml\0"
    "application/yang\0"
    "application/yin+xml\0"
    "application/zip\0"
    "application/zstd\0"
    "audio/32kadpcm\0"
    "audio/AMR\0"
    "audio/AMR-WB\0"
    "audio/ATRAC-ADVANCED-LOSSLESS\0"
    "audio/ATRAC-X\0"
    "audio/ATRAC3\0"
    "audio/EVRC\0"
    "audio/EVRC-QCP\0"
    "audio/EVRCB\0"
    "audio/EVRCNW\0"
    "audio/EVRCWB\0"
    "audio/L16\0"
    "audio/SMV\0"
    "audio/aac\0"
    "audio/ac3\0"
    "audio/annodex\0"
    "audio/asc\0"
    "audio/basic\0"
    "audio/csound\0"
    "audio/dls\0"
    "audio/flac\0"
    "audio/iLBC\0"
    "audio/mhas\0"
    "audio/midi\0"
    "audio/mobile-xmf\0"
    "audio/mp4\0"
    "audio/mpeg\0"
    "audio/mpegurl\0"
    "audio/ogg\0"
    "audio/opus\0"
    "audio/prs.sid\0"
    "audio/sofa\0"
    "audio/usac\0"
    "audio/vnd.audiokoz\0"
    "audio/vnd.dece.audio\0"
    "audio/vnd.digital-winds\0"
    "audio/vnd.dolby.mlp\0"
    "audio/vnd.dts\0"
    "audio/vnd.dts.hd\0"
    "audio/vnd.everad.plj\0"
    "audio/vnd.lucent.voice\0"
    "audio/vnd.ms-playready.media.pya\0"
    "audio/vnd.nortel.vbk\0"
    "audio/vnd.nuera.ecelp4800\0"
    "audio/vnd.nuera.ecelp7470\0"
    "audio/vnd.nuera.ecelp9600\0"
    "audio/vnd.presonus.multitrack\0"
    "audio/vnd.rip\0"
    "audio/vnd.sealedmedia.softseal.mpeg\0"
    "audio/webm\0"
    "audio/x-aiff\0"
    "audio/x-gsm\0"
    "audio/x-ms-wax\0"
    "audio/x-ms-wma\0"
    "audio/x-pn-realaudio\0"
    "audio/x-scpls\0"
    "audio/x-sd2\0"
    "audio/x-wav\0"
    "chemical/x-alchemy\0"
    "chemical/x-cache\0"
    "chemical/x-cache-csf\0"
    "chemical/x-cactvs-binary\0"
    "chemical/x-cdx\0"
    "chemical/x-chem3d\0"
    "chemical/x-cmdf\0"
    "chemical/x-compass\0"
    "chemical/x-crossfire\0"
    "chemical/x-csml\0"
    "chemical/x-ctx\0"
    "chemical/x-cxf\0"
    "chemical/x-embl-dl-nucleotide\0"
    "chemical/x-galactic-spc\0"
    "chemical/x-gamess-input\0"
    "chemical/x-gaussian-checkpoint\0"
    "chemical/x-gaussian-cube\0"
    "chemical/x-gaussian-input\0"
    "chemical/x-gaussian-log\0"
    "chemical/x-gcg8-sequence\0"
    "chemical/x-genbank\0"
    "chemical/x-hin\0"
    "chemical/x-isostar\0"
    "chemical/x-jcamp-dx\0"
    "chemical/x-kinemage\0"
    "chemical/x-macmolecule\0"
    "chemical/x-macromodel-input\0"
    "chemical/x-mdl-molfile\0"
    "chemical/x-mdl-rdfile\0"
    "chemical/x-mdl-rxnfile\0"
    "chemical/x-mdl-sdfile\0"
    "chemical/x-mdl-tgf\0"
    "chemical/x-mmcif\0"
    "chemical/x-molconn-Z\0"
    "chemical/x-mopac-graph\0"
    "chemical/x-mopac-input\0"
    "chemical/x-mopac-out\0"
    "chemical/x-mopac-vib\0"
    "chemical/x-ncbi-asn1\0"
    "chemical/x-ncbi-asn1-ascii\0"
    "chemical/x-ncbi-asn1-binary\0"
    "chemical/x-rosdal\0"
    "chemical/x-swissprot\0"
    "chemical/x-vamas-iso14976\0"
    "chemical/x-vmd\0"
    "chemical/x-xtel\0"
    "chemical/x-xyz\0"
    "font/collection\0"
    "font/otf\0"
    "font/ttf\0"
    "font/woff\0"
    "font/woff2\0"
    "image/aces\0"
    "image/apng\0"
    "image/avci\0"
    "image/avcs\0"
    "image/avif\0"
    "image/bmp\0"
    "image/cgm\0"
    "image/dicom-rle\0"
    "image/dpx\0"
    "image/emf\0"
    "image/fits\0"
    "image/gif\0"
    "image/heic\0"
    "image/heic-sequence\0"
    "image/heif\0"
    "image/heif-sequence\0"
    "image/hej2k\0"
    "image/hsj2\0"
    "image/ief\0"
    "image/jls\0"
    "image/jp2\0"
    "image/jpeg\0"
    "image/jph\0"
    "image/jphc\0"
    "image/jpm\0"
    "image/jpx\0"
    "image/jxl\0"
    "image/jxr\0"
    "image/jxrA\0"
    "image/jxrS\0"
    "image/jxs\0"
    "image/jxsc\0"
    "image/jxsi\0"
    "image/jxss\0"
    "image/ktx\0"
    "image/ktx2\0"
    "image/png\0"
    "image/prs.btif\0"
    "image/prs.pti\0"
    "image/svg+xml\0"
    "image/tiff\0"
    "image/tiff-fx\0"
    "image/vnd.adobe.photoshop\0"
    "image/vnd.airzip.accelerator.azv\0"
    "image/vnd.dece.graphic\0"
    "image/vnd.djvu\0"
    "image/vnd.dwg\0"
    "image/vnd.dxf\0"
    "image/vnd.fastbidsheet\0"
    "image/vnd.fpx\0"
    "image/vnd.fst\0"
    "image/vnd.fujixerox.edmics-mmr\0"
    "image/vnd.fujixerox.edmics-rlc\0"
    "image/vnd.globalgraphics.pgb\0"
    "image/vnd.microsoft.icon\0"
    "image/vnd.ms-modi\0"
    "image/vnd.pco.b16\0"
    "image/vnd.radiance\0"
    "image/vnd.sealed.png\0"
    "image/vnd.sealedmedia.softseal.gif\0"
    "image/vnd.sealedmedia.softseal.jpg\0"
    "image/vnd.tencent.tap\0"
    "image/vnd.valve.source.texture\0"
    "image/vnd.wap.wbmp\0"
    "image/vnd.xiff\0"
    "image/vnd.zbrush.pcx\0"
    "image/webp\0"
    "image/wmf\0"
    "image/x-canon-cr2\0"
    "image/x-canon-crw\0"
    "image/x-cmu-raster\0"
    "image/x-coreldraw\0"
    "image/x-coreldrawpattern\0"
    "image/x-coreldrawtemplate\0"
    "image/x-epson-erf\0"
    "image/x-jg\0"
    "image/x-jng\0"
    "image/x-nikon-nef\0"
    "image/x-olympus-orf\0"
    "image/x-portable-anymap\0"
    "image/x-portable-bitmap\0"
    "image/x-portable-graymap\0"
    "image/x-portable-pixmap\0"
    "image/x-rgb\0"
    "image/x-xbitmap\0"
    "image/x-xcf\0"
    "image/x-xpixmap\0"
    "image/x-xwindowdump\0"
    "message/global\0"
    "message/global-delivery-status\0"
    "message/global-disposition-notification\0"
    "message/global-headers\0"
    "message/rfc822\0"
    "model/JT\0"
    "model/gltf+json\0"
    "model/gltf-binary\0"
    "model/iges\0"
    "model/mesh\0"
    "model/mtl\0"
    "model/obj\0"
    "model/prc\0"
    "model/step\0"
    "model/step+xml\0"
    "model/step+zip\0"
    "model/step-xml+zip\0"
    "model/stl\0"
    "model/u3d\0"
    "model/vnd.cld\0"
    "model/vnd.collada+xml\0"
    "model/vnd.dwf\0"
    "model/vnd.gdl\0"
    "model/vnd.gtw\0"
    "model/vnd.moml+xml\0"
    "model/vnd.mts\0"
    "model/vnd.opengex\0"
    "model/vnd.parasolid.transmit.binary\0"
    "model/vnd.parasolid.transmit.text\0"
    "model/vnd.pytha.pyox\0"
    "model/vnd.sap.vds\0"
    "model/vnd.usda\0"
    "model/vnd.usdz+zip\0"
    "model/vnd.valve.source.compiled-map\0"
    "model/vnd.vtu\0"
    "model/vrml\0"
    "model/x3d+fastinfoset\0"
    "model/x3d+xml\0"
    "model/x3d-vrml\0"
    "multipart/vnd.bint.med-plus\0"
    "multipart/voice-message\0"
    "text/SGML\0"
    "text/cache-manifest\0"
    "text/calendar\0"
    "text/cql\0"
    "text/css\0"
    "text/csv\0"
    "text/csv-schema\0"
    "text/dns\0"
    "text/gff3\0"
    "text/html\0"
    "text/javascript\0"
    "text/jcr-cnd\0"
    "text/markdown\0"
    "text/mizar\0"
    "text/n3\0"
    "text/plain\0"
    "text/provenance-notation\0"
    "text/prs.fallenstein.rst\0"
    "text/prs.lines.tag\0"
    "text/shaclc\0"
    "text/shex\0"
    "text/spdx\0"
    "text/tab-separated-values\0"
    "text/texmacs\0"
    "text/troff\0"
    "text/turtle\0"
    "text/uri-list\0"
    "text/vcard\0"
    "text/vnd.DMClientScript\0"
    "text/vnd.a\0"
    "text/vnd.abc\0"
    "text/vnd.ascii-art\0"
    "text/vnd.curl\0"
    "text/vnd.debian.copyright\0"
    "text/vnd.esmertec.theme-descriptor\0"
    "text/vnd.exchangeable\0"
    "text/vnd.familysearch.gedcom\0"
    "text/vnd.ficlab.flt\0"
    "text/vnd.fly\0"
    "text/vnd.fmi.flexstor\0"
    "text/vnd.graphviz\0"
    "text/vnd.hans\0"
    "text/vnd.hgl\0"
    "text/vnd.in3d.3dml\0"
    "text/vnd.in3d.spot\0"
    "text/vnd.ms-mediapackage\0"
    "text/vnd.net2phone.commcenter.command\0"
    "text/vnd.senx.warpscript\0"
    "text/vnd.sosi\0"
    "text/vnd.sun.j2me.app-descriptor\0"
    "text/vnd.wap.si\0"
    "text/vnd.wap.sl\0"
    "text/vnd.wap.wml\0"
    "text/vnd.wap.wmlscript\0"
    "text/vtt\0"
    "text/wgsl\0"
    "text/x-bibtex\0"
    "text/x-boo\0"
    "text/x-c++hdr\0"
    "text/x-c++src\0"
    "text/x-chdr\0"
    "text/x-component\0"
    "text/x-csrc\0"
    "text/x-diff\0"
    "text/x-dsrc\0"
    "text/x-haskell\0"
    "text/x-java\0"
    "text/x-lilypond\0"
    "text/x-literate-haskell\0"
    "text/x-moc\0"
    "text/x-pascal\0"
    "text/x-pcs-gcd\0"
    "text/x-perl\0"
    "text/x-python\0"
    "text/x-scala\0"
    "text/x-setext\0"
    "text/x-sfv\0"
    "text/x-tcl\0"
    "text/x-tex\0"
    "text/x-vcalendar\0"
    "video/3gpp\0"
    "video/annodex\0"
    "video/dv\0"
    "video/fli\0"
    "video/gl\0"
    "video/iso.segment\0"
    "video/mj2\0"
    "video/mp2t\0"
    "video/mp4\0"
    "video/mpeg\0"
    "video/ogg\0"
    "video/quicktime\0"
    "video/vnd.dece.hd\0"
    "video/vnd.dece.mobile\0"
    "video/vnd.dece.mp4\0"
    "video/vnd.dece.pd\0"
    "video/vnd.dece.sd\0"
    "video/vnd.dece.video\0"
    "video/vnd.dvb.file\0"
    "video/vnd.fvt\0"
    "video/vnd.mpegurl\0"
    "video/vnd.ms-playready.media.pyv\0"
    "video/vnd.nokia.interleaved-multimedia\0"
    "video/vnd.radgamettools.bink\0"
    "video/vnd.radgamettools.smacker\0"
    "video/vnd.sealed.mpeg1\0"
    "video/vnd.sealed.mpeg4\0"
    "video/vnd.sealed.swf\0"
    "video/vnd.sealedmedia.softseal.mov\0"
    "video/vnd.vivo\0"
    "video/vnd.youtube.yt\0"
    "video/webm\0"
    "video/x-flv\0"
    "video/x-la-asf\0"
    "video/x-matroska\0"
    "video/x-mng\0"
    "video/x-ms-wm\0"
    "video/x-ms-wmv\0"
    "video/x-ms-wmx\0"
    "video/x-ms-wvx\0"
    "video/x-msvideo\0"
    "video/x-sgi-movie\0";

/* Sorted by ending; where its type stands among the types. */
static const struct {
  char ending[16];
  uint16_t type;
} mime_rows[] = {
    {"123", 12588},
    {"1clr", 852},
    {"1km", 4882},
    {"210", 2522},
    {"3dm", 28748},
    {"3dml", 28748},
    {"3gp", 29340},
    {"3mf", 13349},
    {"3tz", 12901},
    {"726", 23963},
    {"7z", 21637},
    {"a", 28479},
    {"a2l", 0},
    {"aa3", 24045},
    {"aac", 24142},
    {"aal", 24001},
    {"abc", 28490},
    {"abw", 21665},
    {"ac", 2794},
    {"ac2", 6791},
    {"ac3", 24152},
    {"acc", 6033},
    {"acn", 24176},
    {"acu", 5594},
    {"acutc", 5619},
    {"adts", 24142},
    {"aep", 6672},
    {"afp", 5773},
    {"age", 5874},
    {"ahead", 5894},
    {"ai", 2909},
    {"aif", 24756},
    {"aifc", 24756},
    {"aiff", 24756},
    {"aion", 20323},
    {"ait", 8877},
    {"alc", 24870},
    {"ami", 6070},
    {"aml", 16},
    {"amlx", 520},
    {"amr", 23978},
    {"anx", 273},
    {"apex", 6362},
    {"apexlang", 6362},
    {"apk", 6124},
    {"apkg", 6164},
    {"apng", 25928},
    {"appcache", 28088},
    {"apr", 12616},
    {"apxml", 492},
    {"arrow", 6292},
    {"arrows", 6326},
    {"art", 27109},
    {"artisan", 6605},
    {"asc", 2608},
    {"ascii", 28503},
    {"asf", 13408},
    {"asice", 9286},
    {"asics", 9318},
    {"asn", 25675},
    {"aso", 5526},
    {"ass", 24142},
    {"at3", 24045},
    {"atc", 5619},
    {"atf", 32},
    {"atfx", 48},
    {"atom", 293},
    {"atomcat", 314},
    {"atomdeleted", 338},
    {"atomsrv", 366},
    {"atomsvc", 391},
    {"atx", 24031},
    {"atxml", 65},
    {"au", 24186},
    {"auc", 4271},
    {"avci", 25939},
    {"avcs", 25950},
    {"avi", 30043},
    {"avif", 25961},
    {"awb", 23988},
    {"axa", 24162},
    {"axv", 29351},
    {"azf", 5922},
    {"azs", 5960},
    {"azv", 26426},
    {"azw3", 5998},
    {"b", 25566},
    {"b16", 26710},
    {"bak", 23264},
    {"bar", 17506},
    {"bat", 22563},
    {"bcpio", 21717},
    {"bdm", 19715},
    {"bed", 17632},
    {"bh2", 10057},
    {"bib", 29012},
    {"bik", 29718},
    {"bin", 2414},
    {"bk2", 29718},
    {"bkm", 14699},
    {"bmed", 28026},
    {"bmi", 6999},
    {"bmml", 6727},
    {"bmp", 25972},
    {"bmpr", 6761},
    {"boo", 29026},
    {"book", 22501},
    {"box", 17353},
    {"bpd", 10999},
    {"brf", 28256},
    {"bsd", 25020},
    {"bsp", 27914},
    {"btf", 26332},
    {"btif", 26332},
    {"bz2", 21762},
    {"c", 29094},
    {"c++", 29051},
    {"c11amc", 7337},
    {"c11amz", 7382},
    {"c3d", 24967},
    {"c3ex", 642},
    {"c4d", 7307},
    {"c4f", 7307},
    {"c4g", 7307},
    {"c4p", 7307},
    {"c4u", 7307},
    {"c9r", 8250},
    {"c9s", 8250},
    {"cab", 13431},
    {"cac", 24889},
    {"cache", 24889},
    {"cap", 19852},
    {"car", 11725},
    {"carjson", 9387},
    {"cascii", 24927},
    {"cat", 13850},
    {"cbin", 24927},
    {"cbor", 625},
    {"cbr", 7807},
    {"cbz", 7777},
    {"cc", 29051},
    {"ccc", 28811},
    {"ccmp", 660},
    {"ccxml", 681},
    {"cda", 21782},
    {"cdbcmsg", 7899},
    {"cdf", 21782},
    {"cdfx", 83},
    {"cdkey", 13022},
    {"cdmia", 703},
    {"cdmic", 731},
    {"cdmid", 758},
    {"cdmio", 782},
    {"cdmiq", 806},
    {"cdr", 27022},
    {"cdt", 27065},
    {"cdx", 24952},
    {"cdxml", 7094},
    {"cdy", 7186},
    {"cea", 104},
    {"cef", 25072},
    {"cellml", 829},
    {"cer", 2821},
    {"cgm", 25982},
    {"chm", 13718},
    {"chrt", 12041},
    {"cif", 14558},
    {"cii", 6185},
    {"cil", 13380},
    {"cl", 3975},
    {"cla", 7254},
    {"class", 1696},
    {"cld", 27642},
    {"clkk", 8023},
    {"clkp", 8062},
    {"clkt", 8100},
    {"clkw", 8139},
    {"clkx", 7993},
    {"cls", 29312},
    {"clue", 868},
    {"cmc", 7965},
    {"cmdf", 24985},
    {"cml", 829},
    {"cmp", 21364},
    {"cmsc", 894},
    {"cnd", 28210},
    {"cod", 17758},
    {"coffee", 7431},
    {"com", 22563},
    {"conf", 28256},
    {"copyright", 28536},
    {"coswid", 4199},
    {"cpa", 25001},
    {"cpio", 21842},
    {"cpkg", 21029},
    {"cpl", 910},
    {"cpp", 29051},
    {"cpt", 1953},
    {"cql", 28122},
    {"cr2", 26967},
    {"crl", 2843},
    {"crt", 23420},
    {"crtr", 14526},
    {"crw", 26985},
    {"cryptomator", 8288},
    {"cryptonote", 17727},
    {"csd", 24198},
    {"csf", 24906},
    {"csh", 21861},
    {"csl", 7213},
    {"csm", 25041},
    {"csml", 25041},
    {"csp", 7871},
    {"csrattrs", 930},
    {"css", 28131},
    {"cst", 7871},
    {"csv", 28140},
    {"csvs", 28149},
    {"ctab", 24927},
    {"ctx", 25057},
    {"cu", 951},
    {"cub", 25196},
    {"cuc", 4342},
    {"curl", 28522},
    {"cw", 2959},
    {"cwl", 972},
    {"cww", 2959},
    {"cxf", 25072},
    {"cxx", 29051},
    {"d", 29118},
    {"dae", 27656},
    {"daf", 5268},
    {"dart", 8373},
    {"dataless", 9727},
    {"davmount", 1031},
    {"dbf", 8450},
    {"dcd", 120},
    {"dcm", 1056},
    {"dcr", 21879},
    {"dd2", 15933},
    {"ddd", 10090},
    {"ddeb", 8470},
    {"ddf", 19777},
    {"deb", 8470},
    {"deploy", 2414},
    {"der", 23420},
    {"dfac", 8816},
    {"dif", 29365},
    {"diff", 29106},
    {"dii", 136},
    {"dim", 9664},
    {"dir", 21879},
    {"dis", 5295},
    {"dist", 6387},
    {"distz", 6387},
    {"dit", 152},
    {"dive", 17070},
    {"djv", 26482},
    {"djvu", 26482},
    {"dl", 8426},
    {"dll", 22563},
    {"dls", 24211},
    {"dmg", 21687},
    {"dmp", 19852},
    {"dms", 28455},
    {"dna", 8691},
    {"doc", 2286},
    {"docjson", 8711},
    {"docm", 14297},
    {"docx", 16725},
    {"dor", 27692},
    {"dot", 2286},
    {"dotm", 14346},
    {"dotx", 16797},
    {"dp", 16938},
    {"dpg", 8792},
    {"dpgraph", 8792},
    {"dpkg", 21056},
    {"dpx", 26008},
    {"drle", 25992},
    {"dsc", 28317},
    {"dsm", 8661},
    {"dssc", 1116},
    {"dtd", 23736},
    {"dts", 24458},
    {"dtshd", 24472},
    {"dv", 29365},
    {"dvb", 29595},
    {"dvc", 1158},
    {"dvi", 21921},
    {"dwd", 415},
    {"dwf", 27678},
    {"dwg", 26497},
    {"dx", 25349},
    {"dxf", 26511},
    {"dxp", 18795},
    {"dxr", 21879},
    {"dzr", 8953},
    {"ebuild", 10362},
    {"ecelp4800", 24587},
    {"ecelp7470", 24613},
    {"ecelp9600", 24639},
    {"ecig", 9460},
    {"ecigprofile", 9425},
    {"ecigtheme", 9496},
    {"eclass", 10392},
    {"edm", 15069},
    {"edx", 15098},
    {"efi", 1175},
    {"efif", 17220},
    {"ei6", 17149},
    {"eln", 9002},
    {"emb", 25087},
    {"embl", 25087},
    {"emf", 26018},
    {"eml", 27452},
    {"emm", 11257},
    {"emma", 1191},
    {"emotionml", 1212},
    {"ent", 23756},
    {"entity", 14699},
    {"enw", 24096},
    {"eol", 24414},
    {"eot", 13688},
    {"ep", 6933},
    {"eps", 2909},
    {"eps2", 2909},
    {"eps3", 2909},
    {"epsf", 2909},
    {"epsi", 2909},
    {"epub", 1238},
    {"erf", 27091},
    {"es", 28194},
    {"es3", 9257},
    {"esa", 16962},
    {"esf", 9050},
    {"espass", 9223},
    {"et3", 9257},
    {"etx", 29276},
    {"evb", 24084},
    {"evc", 24058},
    {"evw", 24109},
    {"exe", 13181},
    {"exi", 1259},
    {"exp", 1275},
    {"exr", 25917},
    {"ext", 15127},
    {"ez", 248},
    {"ez2", 9566},
    {"ez3", 9594},
    {"fb", 22501},
    {"fbdoc", 22501},
    {"fbs", 26525},
    {"fcdt", 5677},
    {"fch", 25165},
    {"fchk", 25165},
    {"fcs", 11851},
    {"fdf", 1319},
    {"fdt", 1335},
    {"fe_launch", 8622},
    {"fg5", 10025},
    {"fig", 23447},
    {"finf", 1295},
    {"fit", 26028},
    {"fits", 26028},
    {"fla", 8845},
    {"flac", 24221},
    {"flb", 9753},
    {"fli", 29374},
    {"flo", 13119},
    {"flt", 28648},
    {"flv", 29928},
    {"flw", 12097},
    {"flx", 28681},
    {"fly", 28668},
    {"fm", 9876},
    {"fo", 18671},
    {"fpx", 26548},
    {"frame", 22501},
    {"frm", 20071},
    {"fsc", 9903},
    {"fst", 26562},
    {"ftc", 9811},
    {"fti", 6240},
    {"fts", 26028},
    {"fvt", 29614},
    {"fxp", 5717},
    {"fxpl", 5717},
    {"fzs", 10245},
    {"g2w", 10600},
    {"g3w", 10624},
    {"gac", 10742},
    {"gal", 25247},
    {"gam", 25141},
    {"gamin", 25141},
    {"gan", 22004},
    {"gau", 25221},
    {"gbr", 3379},
    {"gcd", 29222},
    {"gcf", 22075},
    {"gcg", 25271},
    {"gdl", 27692},
    {"gdz", 9624},
    {"ged", 28619},
    {"gen", 25296},
    {"genozip", 10305},
    {"geo", 8929},
    {"geojson", 1403},
    {"gex", 10542},
    {"gf", 23200},
    {"gff3", 28174},
    {"ggb", 10450},
    {"ggs", 10480},
    {"ggt", 10512},
    {"ghf", 10773},
    {"gif", 26039},
    {"gim", 10801},
    {"gjc", 25221},
    {"gjf", 25221},
    {"gl", 29384},
    {"glb", 27492},
    {"glbin", 1455},
    {"glbuf", 1455},
    {"gltf", 27476},
    {"gml", 1479},
    {"gnumeric", 22031},
    {"gph", 5155},
    {"gpkg", 1424},
    {"gpt", 25587},
    {"gpx", 1499},
    {"gqf", 10719},
    {"gqs", 10719},
    {"gram", 4098},
    {"grd", 10329},
    {"gre", 10542},
    {"grv", 10841},
    {"grxml", 4115},
    {"gsf", 21939},
    {"gsheet", 4760},
    {"gsm", 24769},
    {"gtar", 22109},
    {"gtm", 10873},
    {"gtw", 27706},
    {"gv", 28703},
    {"gxt", 10576},
    {"gz", 1519},
    {"h", 29065},
    {"h++", 29037},
    {"hal", 10975},
    {"hans", 28721},
    {"hbc", 10999},
    {"hbci", 10999},
    {"hdf", 22158},
    {"hdr", 26728},
    {"hdt", 11020},
    {"heic", 26049},
    {"heics", 26060},
    {"heif", 26080},
    {"heifs", 26091},
    {"hej2", 26111},
    {"held", 440},
    {"hgl", 28735},
    {"hh", 29037},
    {"hif", 25961},
    {"hin", 25315},
    {"hpgl", 11074},
    {"hpi", 11121},
    {"hpid", 11121},
    {"hpp", 29037},
    {"hps", 11145},
    {"hpub", 2979},
    {"hqx", 1928},
    {"hs", 29130},
    {"hsj2", 26123},
    {"hta", 1536},
    {"htc", 29077},
    {"htke", 12236},
    {"htm", 28184},
    {"html", 28184},
    {"hvd", 21137},
    {"hvp", 21200},
    {"hvs", 21167},
    {"hwp", 22200},
    {"hxx", 29037},
    {"i2g", 11650},
    {"ic0", 7837},
    {"ic1", 7837},
    {"ic2", 7837},
    {"ic3", 7837},
    {"ic4", 7837},
    {"ic5", 7837},
    {"ic6", 7837},
    {"ic7", 7837},
    {"ic8", 7837},
    {"ica", 22218},
    {"icc", 11369},
    {"icd", 7837},
    {"icf", 7837},
    {"icm", 11369},
    {"ico", 26667},
    {"ics", 28108},
    {"ief", 26134},
    {"ifb", 28108},
    {"ifc", 2522},
    {"ifm", 18317},
    {"iges", 27510},
    {"igl", 11396},
    {"igm", 11590},
    {"ign", 7928},
    {"ignition", 7928},
    {"igs", 27510},
    {"igx", 13150},
    {"iif", 18401},
    {"iii", 22285},
    {"imf", 11421},
    {"imgcal", 5113},
    {"imi", 11459},
    {"imp", 5560},
    {"ims", 13746},
    {"imscc", 11560},
    {"info", 22236},
    {"ini", 28256},
    {"ink", 1576},
    {"inkml", 1576},
    {"inp", 25141},
    {"ins", 22255},
    {"iota", 6634},
    {"ipfix", 1598},
    {"ipk", 18444},
    {"irm", 11294},
    {"irp", 11788},
    {"ism", 27692},
    {"iso", 22306},
    {"isp", 22255},
    {"ist", 25330},
    {"istc", 20358},
    {"istr", 25330},
    {"isws", 20358},
    {"itp", 18357},
    {"its", 1616},
    {"ivp", 11496},
    {"ivu", 11528},
    {"jad", 28888},
    {"jam", 11876},
    {"jar", 1636},
    {"java", 29145},
    {"jdx", 25349},
    {"jfif", 26164},
    {"jhc", 26185},
    {"jisp", 11934},
    {"jls", 26144},
    {"jlt", 11168},
    {"jmz", 22363},
    {"jng", 27120},
    {"jnlp", 22334},
    {"joda", 11955},
    {"jp2", 26154},
    {"jpe", 26164},
    {"jpeg", 26164},
    {"jpf", 26206},
    {"jpg", 26164},
    {"jpg2", 26154},
    {"jpgm", 26196},
    {"jph", 26175},
    {"jphc", 26185},
    {"jpm", 26196},
    {"jpx", 26206},
    {"jrd", 1716},
    {"js", 28194},
    {"json", 1737},
    {"json-patch", 1754},
    {"jsonld", 1782},
    {"jsontd", 4537},
    {"jsontm", 4685},
    {"jt", 27467},
    {"jtd", 28562},
    {"jxl", 26216},
    {"jxr", 26226},
    {"jxra", 26236},
    {"jxrs", 26247},
    {"jxs", 26258},
    {"jxsc", 26268},
    {"jxsi", 26279},
    {"jxss", 26290},
    {"karbon", 12014},
    {"kcm", 14699},
    {"key", 6423},
    {"keynote", 6423},
    {"kfo", 12068},
    {"kia", 12263},
    {"kil", 22382},
    {"kin", 25369},
    {"kml", 10649},
    {"kmz", 10686},
    {"kne", 5225},
    {"knp", 5225},
    {"kom", 10999},
    {"kon", 12123},
    {"koz", 24374},
    {"kpr", 12151},
    {"kpt", 12151},
    {"ksp", 12182},
    {"ktr", 11990},
    {"ktx", 26301},
    {"ktx2", 26311},
    {"ktz", 11990},
    {"kwd", 12210},
    {"kwt", 12210},
    {"l16", 24122},
    {"las", 12346},
    {"lasjson", 12366},
    {"lasxml", 12395},
    {"latex", 22409},
    {"lbc", 24232},
    {"lbd", 12423},
    {"lbe", 12474},
    {"lca", 12530},
    {"lcs", 12530},
    {"le", 6966},
    {"les", 11040},
    {"lgr", 1802},
    {"lha", 22429},
    {"lhs", 29173},
    {"lhzd", 6825},
    {"lhzl", 6862},
    {"lin", 581},
    {"line", 14669},
    {"link66", 17782},
    {"list3820", 5773},
    {"listafp", 5773},
    {"lmp", 27692},
    {"loas", 24363},
    {"log", 28256},
    {"loom", 12567},
    {"lostsyncxml", 1867},
    {"lostxml", 1846},
    {"lpf", 1892},
    {"lrm", 13769},
    {"lsf", 29940},
    {"lsx", 29940},
    {"ltx", 29312},
    {"lvp", 24510},
    {"lwp", 12771},
    {"lxf", 168},
    {"ly", 29157},
    {"lyx", 22447},
    {"lzh", 22465},
    {"lzx", 22483},
    {"m", 20812},
    {"m1v", 29442},
    {"m21", 2248},
    {"m2v", 29442},
    {"m3g", 1912},
    {"m3u", 24303},
    {"m3u8", 6453},
    {"m4a", 24282},
    {"m4s", 29393},
    {"m4u", 29628},
    {"m4v", 29432},
    {"ma", 2068},
    {"mads", 1980},
    {"maei", 2179},
    {"mag", 8973},
    {"mail", 27452},
    {"maker", 22501},
    {"man", 23284},
    {"manifest", 28088},
    {"markdown", 28223},
    {"mb", 2068},
    {"mbk", 5322},
    {"mbox", 2115},
    {"mc1", 12994},
    {"mc2", 28849},
    {"mcd", 12974},
    {"mcif", 25549},
    {"mcm", 25389},
    {"md", 28223},
    {"mdb", 2265},
    {"mdc", 12869},
    {"mdi", 26692},
    {"me", 23308},
    {"mesh", 27521},
    {"meta4", 2132},
    {"mets", 2158},
    {"mf4", 184},
    {"mfm", 13098},
    {"mft", 3409},
    {"mgp", 16899},
    {"mgz", 17388},
    {"mhas", 24243},
    {"mht", 27452},
    {"mid", 24254},
    {"midi", 24254},
    {"mif", 13227},
    {"miz", 28237},
    {"mj2", 29411},
    {"mjp2", 29411},
    {"mjs", 28194},
    {"mkv", 29955},
    {"ml2", 19603},
    {"mlp", 24438},
    {"mm", 21981},
    {"mmd", 7149},
    {"mmdb", 12939},
    {"mmf", 18554},
    {"mml", 2092},
    {"mmod", 25412},
    {"mmr", 26576},
    {"mng", 29972},
    {"moc", 29197},
    {"mod", 23736},
    {"model-inter", 20270},
    {"mods", 2227},
    {"mol", 25440},
    {"mol2", 19603},
    {"moml", 27720},
    {"moo", 25633},
    {"mop", 25610},
    {"mopcrt", 25610},
    {"mov", 29463},
    {"movie", 30059},
    {"mp1", 24292},
    {"mp2", 24292},
    {"mp21", 2248},
    {"mp3", 24292},
    {"mp4", 29432},
    {"mpc", 13282},
    {"mpd", 988},
    {"mpdd", 1009},
    {"mpe", 29442},
    {"mpeg", 29442},
    {"mpega", 24292},
    {"mpf", 28786},
    {"mpg", 29442},
    {"mpg4", 29432},
    {"mpga", 24292},
    {"mph", 21821},
    {"mpkg", 6387},
    {"mpm", 6899},
    {"mpn", 13247},
    {"mpp", 14184},
    {"mpt", 14184},
    {"mpv", 29955},
    {"mpw", 9529},
    {"mpy", 11229},
    {"mqy", 5349},
    {"mrc", 2027},
    {"mrcx", 2044},
    {"ms", 23331},
    {"msa", 14474},
    {"msd", 9700},
    {"mseed", 9700},
    {"mseq", 14505},
    {"msf", 9076},
    {"msg", 13823},
    {"msh", 27521},
    {"msi", 22591},
    {"msl", 5376},
    {"msm", 27692},
    {"msp", 2414},
    {"msty", 14619},
    {"msu", 2414},
    {"mtl", 27532},
    {"mts", 27739},
    {"multitrack", 24665},
    {"mus", 14594},
    {"musd", 2203},
    {"mvb", 25654},
    {"mvt", 12834},
    {"mwc", 8792},
    {"mwf", 5247},
    {"mxf", 2305},
    {"mxi", 20270},
    {"mxl", 17660},
    {"mxmf", 24265},
    {"mxml", 23857},
    {"mxs", 20018},
    {"mxu", 29628},
    {"n3", 28248},
    {"nb", 20776},
    {"nbp", 20856},
    {"nc", 22609},
    {"ndc", 16869},
    {"ndl", 12679},
    {"nds", 14778},
    {"nebul", 14669},
    {"nef", 27132},
    {"ngdat", 14964},
    {"nim", 29679},
    {"nimn", 14757},
    {"nitf", 14847},
    {"nlu", 14723},
    {"nml", 9026},
    {"nnd", 14868},
    {"nns", 14903},
    {"nnw", 14935},
    {"notebook", 18575},
    {"nq", 2321},
    {"ns2", 12679},
    {"ns3", 12679},
    {"ns4", 12679},
    {"nsf", 12679},
    {"nsg", 12679},
    {"nsh", 12679},
    {"nt", 2341},
    {"ntf", 12679},
    {"numbers", 6483},
    {"nwc", 22664},
    {"o", 22682},
    {"oa2", 9963},
    {"oa3", 9994},
    {"oas", 9933},
    {"obg", 16164},
    {"obgx", 16130},
    {"obj", 27542},
    {"oda", 200},
    {"odb", 15156},
    {"odc", 15196},
    {"odd", 4557},
    {"odf", 15287},
    {"odg", 15330},
    {"odi", 15427},
    {"odm", 15766},
    {"odp", 15518},
    {"ods", 15623},
    {"odt", 15726},
    {"odx", 216},
    {"oeb", 16201},
    {"oga", 24317},
    {"ogex", 27753},
    {"ogg", 24317},
    {"ogv", 29453},
    {"ogx", 2469},
    {"old", 23264},
    {"omg", 24045},
    {"one", 2485},
    {"onepkg", 2485},
    {"onetmp", 2485},
    {"onetoc2", 2485},
    {"opf", 2439},
    {"oprc", 17025},
    {"opus", 24327},
    {"or2", 12707},
    {"or3", 12707},
    {"orc", 24198},
    {"orf", 27150},
    {"org", 12707},
    {"orq", 2363},
    {"ors", 2388},
    {"osf", 21232},
    {"osm", 16269},
    {"ota", 6096},
    {"otc", 15237},
    {"otf", 25878},
    {"otg", 15374},
    {"oth", 15862},
    {"oti", 15468},
    {"otp", 15566},
    {"ots", 15670},
    {"ott", 15813},
    {"ovl", 5800},
    {"oxlicg", 16993},
    {"oxps", 2505},
    {"oxt", 16229},
    {"oza", 22703},
    {"p", 29208},
    {"p10", 2678},
    {"p12", 22755},
    {"p21", 2522},
    {"p2p", 20708},
    {"p7b", 22776},
    {"p7c", 2697},
    {"p7m", 2697},
    {"p7r", 22809},
    {"p7s", 2720},
    {"p7z", 2697},
    {"p8", 2748},
    {"p8e", 2766},
    {"pac", 22630},
    {"package", 6699},
    {"pages", 6513},
    {"pas", 29208},
    {"pat", 27040},
    {"patch", 29106},
    {"paw", 17097},
    {"pbd", 17298},
    {"pbm", 27194},
    {"pcap", 19852},
    {"pcf", 21958},
    {"pcl", 11098},
    {"pcx", 26925},
    {"pdb", 17025},
    {"pdf", 2566},
    {"pdx", 232},
    {"pem", 22732},
    {"pfa", 21939},
    {"pfb", 21939},
    {"pfr", 1355},
    {"pfx", 22755},
    {"pgb", 26638},
    {"pgm", 27218},
    {"pgn", 7123},
    {"pgp", 2582},
    {"php", 22176},
    {"pil", 17175},
    {"pk", 23221},
    {"pkd", 10999},
    {"pkg", 6387},
    {"pki", 2889},
    {"pkipath", 2864},
    {"pkpass", 6541},
    {"pl", 29237},
    {"plb", 4960},
    {"plc", 5403},
    {"plf", 17270},
    {"plj", 24489},
    {"plp", 17046},
    {"pls", 24832},
    {"pm", 29237},
    {"pml", 8322},
    {"png", 26322},
    {"pnm", 27170},
    {"portpkg", 12801},
    {"pot", 13880},
    {"potm", 14129},
    {"potx", 16520},
    {"ppam", 13910},
    {"ppd", 8348},
    {"ppkg", 21083},
    {"ppm", 27243},
    {"pps", 13880},
    {"ppsm", 14073},
    {"ppsx", 16449},
    {"ppt", 13880},
    {"pptm", 13962},
    {"ppttc", 19904},
    {"pptx", 16308},
    {"pqa", 17025},
    {"prc", 27552},
    {"pre", 12647},
    {"preminet", 17328},
    {"prf", 2655},
    {"provn", 28267},
    {"provx", 2932},
    {"prt", 25696},
    {"prz", 12647},
    {"ps", 2909},
    {"psb", 4994},
    {"psd", 26400},
    {"pseg3820", 5773},
    {"psfs", 17421},
    {"psg", 5835},
    {"psid", 24338},
    {"pskcxml", 3081},
    {"pt", 18636},
    {"pti", 26347},
    {"ptid", 17480},
    {"ptrom", 18636},
    {"pub", 14211},
    {"pvb", 5028},
    {"pwn", 4927},
    {"py", 29249},
    {"pya", 24533},
    {"pyc", 22841},
    {"pyo", 22841},
    {"pyox", 27841},
    {"pyv", 29646},
    {"qam", 9102},
    {"qbo", 11675},
    {"qca", 9188},
    {"qcall", 9188},
    {"qcp", 24069},
    {"qfx", 11700},
    {"qgs", 22867},
    {"qps", 17442},
    {"qt", 29463},
    {"qtl", 22886},
    {"quiz", 17544},
    {"quox", 17544},
    {"qvd", 19881},
    {"qwd", 5457},
    {"qwt", 5457},
    {"qxb", 5457},
    {"qxd", 5457},
    {"qxl", 5457},
    {"qxt", 5457},
    {"ra", 24811},
    {"ram", 24811},
    {"rapd", 3298},
    {"rar", 17612},
    {"ras", 27003},
    {"rb", 22971},
    {"rcprofile", 11750},
    {"rct", 3004},
    {"rd", 25463},
    {"rdf", 3102},
    {"rdf-crypt", 3027},
    {"rdp", 22916},
    {"rdz", 8394},
    {"relo", 2538},
    {"reload", 17695},
    {"rep", 7019},
    {"request", 14699},
    {"rfcxml", 3249},
    {"rgb", 27267},
    {"rgbe", 26728},
    {"rif", 3122},
    {"rip", 24695},
    {"rl", 3182},
    {"rlc", 26607},
    {"rld", 3213},
    {"rlm", 17695},
    {"rm", 24811},
    {"rms", 11896},
    {"rnc", 3146},
    {"rnd", 3004},
    {"roa", 3435},
    {"roff", 28407},
    {"ros", 25751},
    {"rp9", 7279},
    {"rpm", 22934},
    {"rpss", 15033},
    {"rpst", 14998},
    {"rq", 4026},
    {"rs", 3269},
    {"rsat", 466},
    {"rsheet", 4789},
    {"rsm", 27692},
    {"rss", 3456},
    {"rst", 28292},
    {"rtf", 3476},
    {"rusd", 3353},
    {"rxn", 25485},
    {"rxt", 13057},
    {"s11", 29779},
    {"s14", 29802},
    {"s1a", 18157},
    {"s1e", 18088},
    {"s1g", 26768},
    {"s1h", 18115},
    {"s1j", 26803},
    {"s1m", 24709},
    {"s1n", 26747},
    {"s1p", 18033},
    {"s1q", 29846},
    {"s1w", 17952},
    {"s3df", 17898},
    {"sac", 4440},
    {"saf", 21271},
    {"sam", 12771},
    {"sar", 17854},
    {"sarif", 3492},
    {"sc", 11332},
    {"scala", 29263},
    {"scd", 17874},
    {"sce", 9286},
    {"sci", 22990},
    {"scim", 3515},
    {"scl", 19630},
    {"scld", 8741},
    {"scm", 12739},
    {"sco", 24198},
    {"scq", 3537},
    {"scr", 23073},
    {"scs", 3565},
    {"scsf", 17925},
    {"sd", 25508},
    {"sd2", 24846},
    {"sda", 18946},
    {"sdc", 18877},
    {"sdd", 18980},
    {"sdf", 5225},
    {"sdkd", 18763},
    {"sdkm", 18763},
    {"sdo", 17952},
    {"sdoc", 17952},
    {"sdp", 3651},
    {"sds", 18911},
    {"sdw", 19051},
    {"see", 18198},
    {"seed", 9727},
    {"sem", 17979},
    {"sema", 18222},
    {"semd", 18243},
    {"semf", 18264},
    {"seml", 17979},
    {"senml", 3690},
    {"senml-etchc", 3735},
    {"senml-etchj", 3763},
    {"senmlc", 3667},
    {"senmle", 3791},
    {"senmlx", 3713},
    {"sensml", 3837},
    {"sensmlc", 3813},
    {"sensmle", 3884},
    {"sensmlx", 3861},
    {"ser", 1661},
    {"sfc", 14813},
    {"sfd", 9841},
    {"sfd-hdstx", 11192},
    {"sfs", 18824},
    {"sfv", 29290},
    {"sgf", 22054},
    {"sgi", 26768},
    {"sgif", 26768},
    {"sgl", 19087},
    {"sgm", 28078},
    {"sgml", 28078},
    {"sh", 23037},
    {"shaclc", 28336},
    {"shar", 23054},
    {"shc", 28336},
    {"shex", 28348},
    {"shf", 3937},
    {"shp", 18483},
    {"shtml", 28184},
    {"shx", 18503},
    {"si", 28921},
    {"sic", 20523},
    {"sid", 24338},
    {"sieve", 3957},
    {"sig", 2629},
    {"sik", 23264},
    {"silo", 27521},
    {"sis", 19656},
    {"sit", 23099},
    {"sitx", 23099},
    {"siv", 3957},
    {"sjp", 26803},
    {"sjpg", 26803},
    {"skd", 12292},
    {"skm", 12292},
    {"skp", 12292},
    {"skt", 12292},
    {"sl", 28937},
    {"sla", 17874},
    {"slaz", 17874},
    {"slc", 20547},
    {"sldm", 14021},
    {"sldx", 16382},
    {"sls", 3324},
    {"slt", 9135},
    {"sm", 19164},
    {"smc", 14813},
    {"smf", 19017},
    {"smh", 18006},
    {"smht", 18006},
    {"smi", 4005},
    {"smil", 4005},
    {"smk", 29747},
    {"sml", 4005},
    {"smo", 29846},
    {"smov", 29846},
    {"smp", 24709},
    {"smp3", 24709},
    {"smpg", 29779},
    {"sms", 5060},
    {"smv", 24132},
    {"smzip", 19130},
    {"snd", 24186},
    {"soa", 28165},
    {"soc", 3907},
    {"sofa", 24352},
    {"sos", 28874},
    {"spc", 25117},
    {"spd", 18157},
    {"spdf", 18157},
    {"spdx", 28358},
    {"spf", 21305},
    {"spl", 1378},
    {"spn", 26747},
    {"spng", 26747},
    {"spo", 28767},
    {"spot", 28767},
    {"spp", 3622},
    {"sppt", 18033},
    {"spq", 3594},
    {"spx", 24317},
    {"sql", 4082},
    {"sqlite", 18853},
    {"sqlite3", 18853},
    {"sr", 18523},
    {"src", 23374},
    {"srt", 28256},
    {"sru", 4136},
    {"srx", 4051},
    {"sse", 12313},
    {"ssf", 9162},
    {"ssml", 4156},
    {"ssv", 18285},
    {"ssvc", 8216},
    {"ssw", 29825},
    {"sswf", 29825},
    {"st", 17817},
    {"stc", 19258},
    {"std", 19325},
    {"step", 27562},
    {"stf", 20935},
    {"sti", 19395},
    {"stif", 18060},
    {"stix", 4177},
    {"stk", 1552},
    {"stl", 27622},
    {"stml", 18115},
    {"stp", 27562},
    {"stpnc", 2522},
    {"stpx", 27573},
    {"stpxz", 27603},
    {"stpz", 27588},
    {"str", 17123},
    {"study-inter", 20270},
    {"stw", 19534},
    {"sty", 29312},
    {"sus", 19574},
    {"susp", 19574},
    {"sv4cpio", 23121},
    {"sv4crc", 23143},
    {"svc", 8901},
    {"svg", 26361},
    {"svgz", 26361},
    {"sw", 25769},
    {"swf", 5643},
    {"swi", 6570},
    {"swidtag", 4221},
    {"sxc", 19229},
    {"sxd", 19296},
    {"sxg", 19496},
    {"sxi", 19363},
    {"sxl", 18088},
    {"sxls", 18088},
    {"sxm", 19436},
    {"sxw", 19465},
    {"sy2", 19603},
    {"t", 28407},
    {"tag", 28317},
    {"taglet", 14647},
    {"tam", 15961},
    {"tamp", 15986},
    {"tamx", 16015},
    {"tao", 19810},
    {"tap", 26838},
    {"tar", 23164},
    {"tat", 16044},
    {"tatp", 16072},
    {"tatx", 16101},
    {"tau", 4242},
    {"taz", 22128},
    {"tcap", 5086},
    {"tcl", 23182},
    {"tcu", 4308},
    {"td", 4818},
    {"teacher", 18606},
    {"tei", 4557},
    {"teicorpus", 4557},
    {"ter", 4384},
    {"tex", 29312},
    {"texi", 23242},
    {"texinfo", 23242},
    {"text", 28256},
    {"tfi", 4577},
    {"tfx", 26386},
    {"tgf", 25530},
    {"tgz", 1519},
    {"thmx", 13792},
    {"tif", 26375},
    {"tiff", 26375},
    {"tk", 29301},
    {"tlclient", 7051},
    {"tm", 28394},
    {"tmo", 19962},
    {"tnef", 14240},
    {"tnf", 14240},
    {"toml", 4705},
    {"torrent", 21737},
    {"tpl", 10909},
    {"tpt", 19993},
    {"tr", 28407},
    {"tra", 20047},
    {"tree", 17582},
    {"trig", 4722},
    {"ts", 29421},
    {"tsa", 4407},
    {"tsd", 4656},
    {"tsp", 1096},
    {"tsq", 4600},
    {"tsr", 4628},
    {"tst", 9350},
    {"tsv", 28368},
    {"ttc", 25862},
    {"ttf", 25887},
    {"ttl", 28418},
    {"ttml", 4739},
    {"tuc", 4505},
    {"tur", 4481},
    {"twd", 5491},
    {"twds", 5491},
    {"txd", 10272},
    {"txf", 5430},
    {"txt", 28256},
    {"u3d", 27632},
    {"u8dsn", 27358},
    {"u8hdr", 27429},
    {"u8mdn", 27389},
    {"u8msg", 27343},
    {"udeb", 8470},
    {"ufd", 20071},
    {"ufdl", 20071},
    {"uis", 4849},
    {"umj", 20118},
    {"unityweb", 20141},
    {"uo", 20163},
    {"uoml", 20163},
    {"upa", 10999},
    {"uri", 28430},
    {"urim", 20188},
    {"urimap", 20188},
    {"uris", 28430},
    {"usda", 27880},
    {"usdz", 27895},
    {"ustar", 23354},
    {"utz", 20092},
    {"uva", 24393},
    {"uvd", 8508},
    {"uvf", 8508},
    {"uvg", 26459},
    {"uvh", 29479},
    {"uvi", 26459},
    {"uvm", 29497},
    {"uvp", 29538},
    {"uvs", 29556},
    {"uvt", 8534},
    {"uvu", 29519},
    {"uvv", 29574},
    {"uvva", 24393},
    {"uvvd", 8508},
    {"uvvf", 8508},
    {"uvvg", 26459},
    {"uvvh", 29479},
    {"uvvi", 26459},
    {"uvvm", 29497},
    {"uvvp", 29538},
    {"uvvs", 29556},
    {"uvvt", 8534},
    {"uvvu", 29519},
    {"uvvv", 29574},
    {"uvvx", 8564},
    {"uvvz", 8597},
    {"uvx", 8564},
    {"uvz", 8597},
    {"val", 25723},
    {"vbk", 24566},
    {"vbox", 17353},
    {"vcard", 28444},
    {"vcd", 21800},
    {"vcf", 28444},
    {"vcg", 10946},
    {"vcj", 21480},
    {"vcs", 29323},
    {"vcx", 20250},
    {"vds", 27862},
    {"ves", 20387},
    {"vew", 12616},
    {"vfk", 28597},
    {"vfr", 19942},
    {"viaframe", 19942},
    {"vis", 20477},
    {"viv", 29881},
    {"vmd", 25816},
    {"vms", 25790},
    {"vmt", 20212},
    {"vpm", 28054},
    {"vrm", 27964},
    {"vrml", 27964},
    {"vsc", 20417},
    {"vsd", 20455},
    {"vsdx", 14264},
    {"vsf", 20503},
    {"vss", 20455},
    {"vst", 20455},
    {"vsw", 20455},
    {"vtf", 26860},
    {"vtnstd", 20323},
    {"vtt", 28993},
    {"vtu", 27950},
    {"vwx", 20295},
    {"vxml", 21455},
    {"wad", 21902},
    {"wadl", 19200},
    {"wafl", 20653},
    {"wasm", 21509},
    {"wav", 24858},
    {"wax", 24781},
    {"wbmp", 26891},
    {"wbs", 8178},
    {"wbxml", 20571},
    {"wcm", 14395},
    {"wdb", 14395},
    {"weba", 24745},
    {"webm", 29917},
    {"webmanifest", 2001},
    {"webp", 26946},
    {"wg", 17243},
    {"wgsl", 29002},
    {"wgt", 21554},
    {"wif", 21526},
    {"win", 27692},
    {"wk", 21619},
    {"wk1", 12588},
    {"wk3", 12588},
    {"wk4", 12588},
    {"wks", 14395},
    {"wlnk", 1822},
    {"wm", 29984},
    {"wma", 24796},
    {"wmc", 20756},
    {"wmd", 22521},
    {"wmf", 26957},
    {"wml", 28953},
    {"wmlc", 20597},
    {"wmls", 28970},
    {"wmlsc", 20622},
    {"wmv", 29998},
    {"wmx", 30013},
    {"wmz", 22542},
    {"woff", 25896},
    {"woff2", 25906},
    {"wpd", 20887},
    {"wpl", 14420},
    {"wps", 14395},
    {"wqd", 20915},
    {"wrl", 27964},
    {"wsc", 20732},
    {"wsdl", 21573},
    {"wspolicy", 21594},
    {"wtb", 20683},
    {"wv", 20958},
    {"wvx", 30028},
    {"wz", 23400},
    {"x3d", 27997},
    {"x3db", 27975},
    {"x3dv", 28011},
    {"x3dvz", 28011},
    {"x3dz", 27997},
    {"x_b", 27771},
    {"x_t", 27807},
    {"xar", 20987},
    {"xav", 23507},
    {"xbd", 10156},
    {"xbm", 27279},
    {"xca", 23532},
    {"xcf", 27295},
    {"xcos", 23011},
    {"xcs", 600},
    {"xct", 10199},
    {"xdd", 554},
    {"xdf", 23558},
    {"xdm", 19747},
    {"xdp", 5743},
    {"xdssc", 1137},
    {"xdw", 10120},
    {"xel", 23584},
    {"xer", 23608},
    {"xfd", 21008},
    {"xfdf", 23659},
    {"xfdl", 21008},
    {"xhe", 24363},
    {"xht", 23676},
    {"xhtm", 23676},
    {"xhtml", 23676},
    {"xhvml", 23857},
    {"xif", 26910},
    {"xla", 13465},
    {"xlam", 13490},
    {"xlc", 13465},
    {"xlf", 23698},
    {"xlim", 21110},
    {"xlm", 13465},
    {"xls", 13465},
    {"xlsb", 13537},
    {"xlsm", 13591},
    {"xlsx", 16590},
    {"xlt", 13465},
    {"xltm", 13638},
    {"xltx", 16656},
    {"xlw", 13465},
    {"xml", 23720},
    {"xmls", 1074},
    {"xmt_bin", 27771},
    {"xmt_txt", 27807},
    {"xns", 23635},
    {"xo", 15906},
    {"xodp", 7561},
    {"xods", 7670},
    {"xodt", 7460},
    {"xop", 23795},
    {"xotp", 7611},
    {"xots", 7719},
    {"xott", 7506},
    {"xpak", 10422},
    {"xpi", 23466},
    {"xpm", 27307},
    {"xpr", 11828},
    {"xps", 14443},
    {"xpw", 11617},
    {"xpx", 11617},
    {"xsf", 3057},
    {"xsl", 23815},
    {"xslt", 23815},
    {"xsm", 19688},
    {"xspf", 23836},
    {"xtel", 25831},
    {"xul", 13317},
    {"xvm", 23857},
    {"xvml", 23857},
    {"xwd", 27323},
    {"xyz", 25847},
    {"xyze", 26728},
    {"xz", 23490},
    {"yaml", 23876},
    {"yang", 23893},
    {"yin", 23910},
    {"yme", 21340},
    {"yml", 23876},
    {"yt", 29896},
    {"zaz", 21424},
    {"zfc", 9784},
    {"zfo", 18715},
    {"zip", 23930},
    {"zir", 21404},
    {"zirz", 21404},
    {"zmm", 5182},
    {"zmt", 25610},
    {"zone", 28165},
    {"zst", 23946},
};
