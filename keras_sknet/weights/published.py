"""Which published weights `weights="imagenet"` stands for."""

# Network: repository on the Hugging Face hub. By timm's own table all of these are under Apache 2.0; the
# tags `fb_ssl_…` and `fb_swsl_…` of the ResNeXts are for non-commercial use. Where there is a choice, the
# recipe nearest to the SK networks' (ra), so that the networks compare.
PUBLISHED = {
    "SKNet50": "timm/skresnext50_32x4d.ra_in1k",
    "SKResNet18": "timm/skresnet18.ra_in1k",
    "SKResNet34": "timm/skresnet34.ra_in1k",
    "ResNeXt50": "timm/resnext50_32x4d.ra_in1k",
    "ResNeXt101": "timm/resnext101_32x4d.gluon_in1k",
    "SENet50": "timm/seresnext50_32x4d.racm_in1k",
    "SENet101": "timm/seresnext101_32x4d.gluon_in1k",
}
